// What analyses found: leaks and their holders, growth, CPU functions, the ledger, wrong frees.
import { element } from './dom.js';
import * as format from './format.js';
import { locationNodes, note, stackLines } from './stacks_view.js';
import { sparkline } from './sites.js';
import { Table } from './table.js';

function missing(text) {
  return element('p.missing', {}, text);
}

function siteColumn(recording, process) {
  const frame = (row) => (row.site >= 0 ? process.location(row.site) : -1);
  return {
    name: 'location', title: 'Site', isText: true, isFirst: true,
    value: (row) => (frame(row) < 0 ? '' : recording.name(frame(row))),
    show: (row) => locationNodes(recording, frame(row)),
  };
}

function numberColumn(name, title, show, more = {}) {
  return { name, title, value: (row) => row[name], show: (row) => (row[name] ? show(row[name]) : element('span.zero', {}, row[name] === null ? '\u2013' : '0')), ...more };
}

function shareOf(rows, name) {
  const total = rows.reduce((sum, row) => sum + Math.abs(row[name] ?? 0), 0);
  return (row) => (total > 0 ? Math.abs(row[name] ?? 0) / total : 0);
}

function tile(title, value, remark, tone = '') {
  return element(`div.tile${tone}`, {}, element('span.tile-title', {}, title), element('span.tile-value', {}, value), element('span.tile-remark', {}, remark ?? ''));
}

/* ---- leaks ---- */

const CLASS_HELP = {
  definite: 'nothing points to them',
  indirect: 'only lost blocks point to them',
  possible: 'only their inside is pointed to',
  reachable: 'something still points to them',
};

export function leaksView(recording, process) {
  const { leaks } = process;
  if (leaks.scan !== 'full') {
    const counts = leaks.scan === 'counts' || leaks.scan === 'off';
    return element('div', {}, missing(counts
      ? 'The heap was not scanned: record with --leaks=full to learn what is lost and who holds the rest.'
      : `No scan was possible (${format.visible(leaks.scan)}). Let the program end by itself, or take a scan while it runs.`));
  }
  const tiles = Object.keys(CLASS_HELP).map((name) => tile(name, format.bytes(leaks[name].bytes),
    `${format.count(leaks[name].blocks)} blocks: ${CLASS_HELP[name]}`, name === 'definite' && leaks[name].blocks > 0 ? '.bad' : ''));
  if (leaks.suppressed.blocks > 0) {
    tiles.push(tile('suppressed', format.bytes(leaks.suppressed.bytes), `${format.count(leaks.suppressed.blocks)} blocks`));
  }
  const parts = [element('div.tiles', {}, ...tiles)];
  const lost = leaks.items;
  parts.push(element('h3', {}, 'Lost'));
  parts.push(lost.length === 0 ? missing('Nothing is lost.') : lostTable(recording, process, lost));
  parts.push(element('h3', {}, 'Still reachable, and who holds it'));
  parts.push(leaks.held.length === 0 ? missing('Nothing is reachable, or holders were not recorded.') : heldTable(recording, process, leaks.held));
  return element('div', {}, ...parts);
}

function lostTable(recording, process, rows) {
  return new Table({
    label: 'Lost blocks', rows: [...rows], sort: 'bytes',
    columns: [siteColumn(recording, process),
      { name: 'class', title: 'Class', isText: true, priority: 2, isNarrow: true, value: (row) => row.class, show: (row) => element(`span.tag.${row.class}`, {}, row.class) },
      numberColumn('bytes', 'Bytes', format.bytes, { share: shareOf(rows, 'bytes') }),
      numberColumn('blocks', 'Blocks', format.count, { priority: 2 }),
      numberColumn('led_bytes', 'Below them', format.bytes, { priority: 3, help: 'Lost with them: blocks that only they point to' })],
    details: (row) => stackLines(recording, process.sites.leaf[row.site] ?? 0),
  }).root;
}

function chainText(recording, process, step) {
  if (step.text !== null) {
    return format.visible(step.text);
  }
  const frame = step.site >= 0 ? process.location(step.site) : process.frameOf(step.leaf, -1);
  return frame < 0 ? 'a block' : `${recording.name(frame)} ${recording.place(frame) ?? ''}`.trim();
}

function heldTable(recording, process, rows) {
  const chain = (row) => row.chains[0]?.steps.map((step) => chainText(recording, process, step)).join(' \u2192 ') ?? '';
  return new Table({
    label: 'Reachable blocks and their holders', rows: [...rows], sort: 'bytes',
    columns: [siteColumn(recording, process),
      { name: 'holder', title: 'Held by', isText: true, priority: 3, value: chain, show: (row) => element('span.function', { title: chain(row) }, chain(row)) },
      numberColumn('bytes', 'Bytes', format.bytes, { share: shareOf(rows, 'bytes') }),
      numberColumn('blocks', 'Blocks', format.count, { priority: 2 }),
      numberColumn('retained_bytes', 'Retained', format.bytes, { priority: 4, help: 'What would be freed if these went' })],
    details: (row) => [...row.chains.flatMap((each) => [
      note(`${format.bytes(each.bytes)} in ${format.count(each.blocks)} blocks are held by`),
      ...each.steps.map((step, depth) => ({ kind: 'frame', nodes: [element('span.function', {}, `${'\u2003'.repeat(depth)}${depth > 0 ? '\u2514 ' : ''}${chainText(recording, process, step)}`)] })),
    ]), note('allocated at'), ...stackLines(recording, process.sites.leaf[row.site] ?? 0)],
  }).root;
}

/* ---- growth ---- */

const VERDICTS = {
  leak: 'grows, and its blocks are lost',
  growing: 'grows',
  'freed-at-exit': 'grew, and was freed in the end',
  bounded: 'grew, then stopped',
  'warm-up': 'grew in the beginning only',
  steady: 'does not grow',
};

export function growthView(recording, process) {
  const { growth } = process;
  if (growth.problem !== null) {
    return missing(`Growth is not known: ${format.visible(growth.problem)}`);
  }
  const counts = Object.entries(VERDICTS).filter(([name]) => growth.counts[name] > 0)
    .map(([name, help]) => tile(name, format.count(growth.counts[name]), help, ['leak', 'growing'].includes(name) ? '.bad' : ''));
  const remark = growth.exhausted_seconds !== null ? ` Memory would be used up in ${format.seconds(growth.exhausted_seconds)}.` : '';
  const words = growth.bytes_per_second > 0
    ? `Growing sites add ${format.rate(growth.bytes_per_second)}.${remark}`
    : 'Nothing keeps growing.';
  const rows = growth.sites;
  const moving = Object.entries(growth.counts).reduce((sum, [name, number]) => sum + (name === 'steady' ? 0 : number), 0);
  const cut = moving > rows.length ? ` The ${format.count(rows.length)} that matter most are listed.` : '';
  const table = rows.length === 0 ? null : new Table({
    label: 'Growth', rows, sort: 'bytes_per_second',
    columns: [siteColumn(recording, process),
      { name: 'verdict', title: 'Verdict', isText: true, isNarrow: true, value: (row) => row.verdict, show: (row) => element(`span.tag.${row.verdict}`, { title: VERDICTS[row.verdict] }, row.verdict) },
      numberColumn('bytes_per_second', 'Rate', format.rate),
      numberColumn('grown_bytes', 'Grown', format.bytes, { priority: 2 }),
      numberColumn('live_bytes', 'Live', format.bytes, { priority: 3 }),
      numberColumn('confidence', 'Confidence', (value) => `${(100 * value).toFixed(1)} %`, { priority: 4 })],
    details: (row) => [
      row.site >= 0 ? note('live over time ', sparkline(process.series(row.site), 320)) : note(''),
      note(`between ${format.rate(row.low)} and ${format.rate(row.high)} with 95 % confidence`),
      ...(row.held_by.length > 0 ? [note(`held by ${row.held_by.map(format.visible).join(' \u2192 ')}`)] : []),
      ...stackLines(recording, process.sites.leaf[row.site] ?? 0)],
  }).root;
  const all = Object.values(growth.counts).reduce((sum, number) => sum + number, 0);
  return element('div', {}, element('p.lead', {}, `${words} ${format.count(all)} sites over ${format.count(growth.snapshots_used)} snapshots.${cut}`),
    element('div.tiles', {}, ...counts), table ?? '');
}

/* ---- CPU ---- */

export function cpuView(recording, process) {
  const { cpu } = process;
  if (!cpu.samples) {
    const why = cpu.sampling !== null && cpu.sampling !== 'on' && cpu.sampling !== 'off' ? ` (${format.visible(cpu.sampling)})` : '';
    return missing(recording.run.cpu_hz > 0
      ? `No CPU samples${why}: the program used too little CPU time to be sampled at ${recording.run.cpu_hz} Hz.`
      : 'CPU samples were switched off: record with --cpu 99.');
  }
  const hz = cpu.hz || 1;
  const time = (samples) => format.seconds(samples / hz);
  const rows = [...cpu.functions];
  const share = (name) => (row) => row[name] / cpu.samples;
  return element('div', {},
    element('ul.findings', {}, ...cpu.findings.map((sentence) => element('li', {}, format.visible(sentence)))),
    new Table({
      label: 'CPU by function', rows, sort: 'self',
      columns: [
        { name: 'function', title: 'Function', isText: true, isFirst: true, value: (row) => row.function,
          show: (row) => [element('span.function', { title: format.visible(row.function) }, format.visible(row.function)),
            element('span.place', {}, row.file ? format.visible(format.fileName(row.file)) + (row.line > 0 ? `:${row.line}` : '') : row.module ? format.visible(format.fileName(row.module)) : '')] },
        numberColumn('self', 'Self', time, { share: share('self'), help: 'Time in the function itself' }),
        { name: 'selfShare', title: 'Self %', value: (row) => row.self, show: (row) => element('span', { title: format.count(row.self) }, format.percent(row.self, cpu.samples)), priority: 2 },
        numberColumn('total', 'Total', time, { share: share('total'), help: 'Time in it and in what it called' }),
        { name: 'totalShare', title: 'Total %', value: (row) => row.total, show: (row) => element('span', { title: format.count(row.total) }, format.percent(row.total, cpu.samples)), priority: 2 },
        numberColumn('system', 'Kernel', time, { priority: 4, help: 'Of the self time, in system calls' })],
    }).root);
}

/* ---- ledger ---- */

export function ledgerView(recording, process, selection) {
  const { ledger, snapshots } = process;
  if (ledger.length === 0) {
    return missing('There is no ledger of resident memory in this recording: it is taken with snapshots of programs that run for a while.');
  }
  const known = [...new Set(ledger.map((row) => row.snapshot))].sort((a, b) => a - b);
  const wanted = selection.kind === 'run' ? Infinity : selection.to;
  const at = known.filter((snapshot) => snapshot <= wanted).pop() ?? known[0];
  const rows = ledger.filter((row) => row.snapshot === at);
  const total = rows.reduce((sum, row) => sum + row.bytes, 0);
  const knowsFree = rows.some((row) => row.item === 'allocator-free');
  const label = (row) => (row.item === 'own-mappings' && !knowsFree ? `${row.label}, and what the allocator holds beside the blocks` : row.label);
  const when = at < snapshots.length ? `at ${format.seconds(snapshots[at].seconds)}` : 'at the end';
  return element('div', {},
    element('p.lead', {}, `What the ${format.bytes(total)} of resident memory consisted of ${when}.`),
    new Table({
      label: 'Resident memory', rows, sort: 'bytes',
      columns: [{ name: 'item', title: 'Item', isText: true, value: label, show: (row) => element('span', { 'data-item': row.item }, format.visible(label(row))) },
        { name: 'bytes', title: 'Bytes', value: (row) => row.bytes, share: shareOf(rows, 'bytes'),
          show: (row) => element(row.bytes === 0 ? 'span.zero' : 'span', { title: format.count(row.bytes) }, format.bytes(row.bytes)) },
        { name: 'share', title: 'Share', value: (row) => row.bytes, show: (row) => format.percent(row.bytes, total), priority: 2 }],
    }).root);
}

/* ---- wrong frees ---- */

export function errorsView(recording, process) {
  const { errors } = process;
  if (errors.length === 0) {
    return missing('No double, invalid or mismatched frees were seen.');
  }
  return new Table({
    label: 'Wrong frees', rows: [...errors], sort: 'count',
    columns: [
      { name: 'location', title: 'Freed at', isText: true, isFirst: true, value: (row) => row.kind,
        show: (row) => locationNodes(recording, process.frameOf(row.leaf, row.location)) },
      { name: 'kind', title: 'Kind', isText: true, isNarrow: true, value: (row) => row.kind, show: (row) => element('span.tag.definite', {}, row.kind) },
      numberColumn('count', 'Count', format.count)],
    details: (row) => [
      ...(row.allocated_as ? [note(`allocated with ${format.visible(row.allocated_as)}, released with ${format.visible(row.released_as)}`)] : []),
      note('released at'), ...stackLines(recording, row.leaf),
      ...(row.allocation_leaf > 0 ? [note('allocated at'), ...stackLines(recording, row.allocation_leaf)] : [])],
  }).root;
}
