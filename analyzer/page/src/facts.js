// The run's facts and its numbers in large.
import { element } from './dom.js';
import * as format from './format.js';

function ending(facts) {
  if (facts.running) {
    return 'still running when recorded';
  }
  if (facts.replaced_by_exec) {
    return 'went on as another program (exec)';
  }
  if (facts.signal !== null) {
    return `ended by signal ${facts.signal}`;
  }
  return facts.exit_status !== null ? `exit status ${facts.exit_status}` : 'end unknown';
}

/** What to bear in mind: [text, ...]. */
function warnings(recording, process) {
  const { run } = recording;
  const { facts } = process;
  const result = [];
  if (facts.untracked) {
    result.push(`Not tracked: ${facts.untracked}`);
  }
  if (!run.complete) {
    result.push(`The recording is not complete${run.damage ? `: ${run.damage}` : ''}.`);
  }
  if (facts.dropped_events > 0) {
    result.push(`${format.count(facts.dropped_events)} events found no room and are missing here.`);
  }
  if (run.sample_bytes !== null) {
    result.push(`Sampled, one allocation per ${format.bytes(run.sample_bytes)}: all numbers are estimates.`);
  }
  if (facts.cut_stacks > 0) {
    result.push(`${format.count(facts.cut_stacks)} stacks were deeper than ${run.depth} frames and are cut: record with a larger --depth.`);
  }
  return result;
}

function figure(name, title, value, remark, exact, tone = '') {
  return element(`div.tile${tone}`, { 'data-figure': name, title: exact === null ? null : format.count(exact) }, element('span.tile-title', {}, title), element('span.tile-value', {}, value),
    element('span.tile-remark', {}, remark));
}

export function factsView(recording, process) {
  const { facts, totals, leaks } = process;
  const lost = leaks.definite.bytes + leaks.indirect.bytes;
  const lostBlocks = leaks.definite.blocks + leaks.indirect.blocks;
  const cpu = facts.cpu_user_ns === null ? null : (facts.cpu_user_ns + facts.cpu_system_ns) / 1e9;
  const state = recording.run.state && recording.run.state !== 'exit' ? ` ${format.visible(recording.run.state)}` : '';
  const command = facts.arguments.length > 0 ? facts.arguments.map(format.argument).join(' ') : format.visible(facts.program ?? '');
  const about = [
    `ran ${format.seconds(facts.seconds)}`, ending(facts),
    facts.started && facts.started.replace('T', ' ').replace('Z', ' UTC'),
    recording.run.host && `on ${recording.run.host}`,
    facts.allocator && facts.allocator, `${format.count(facts.threads)} thread${facts.threads === 1 ? '' : 's'}`,
  ].filter(Boolean).map((text) => format.visible(text));
  return element('section.facts', { 'aria-label': 'The run' },
    element('h1', { title: command }, command),
    element('p.about', {}, about.join('  \u00b7  ')),
    ...warnings(recording, process).map((text) => element('p.warning', { role: 'note' }, format.visible(text))),
    element('div.tiles', {},
      figure('peak', 'Peak', format.bytes(totals.peak_bytes), `at ${format.seconds(totals.peak_seconds)}`, totals.peak_bytes),
      figure('live', 'Live', format.bytes(totals.live_bytes), `${format.count(totals.live_blocks)} blocks${state}`, totals.live_bytes),
      figure('allocations', 'Allocations', format.count(totals.allocations), `${format.bytes(totals.allocated_bytes)} in all`, totals.allocations),
      figure('temporary', 'Temporary', format.percent(totals.temporary_allocations, totals.allocations) || '0 %', `${format.count(totals.temporary_allocations)} allocations`, totals.temporary_allocations),
      leaks.scan === 'full' && figure('leaked', 'Leaked', format.bytes(lost), `${format.count(lostBlocks)} blocks`, lost, lostBlocks > 0 ? '.bad' : ''),
      totals.peak_rss_bytes !== null && figure('rss', 'Peak RSS', format.bytes(totals.peak_rss_bytes), 'resident memory', totals.peak_rss_bytes),
      cpu !== null && figure('cpu', 'CPU', format.seconds(cpu), facts.seconds > 0 ? `${format.percent(cpu, facts.seconds)} of one core` : '', null)));
}
