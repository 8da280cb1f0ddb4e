// The table of sites: which columns there are depends on what was chosen in the timeline.
import { delayed, element, replace } from './dom.js';
import * as format from './format.js';
import { matcher } from './search.js';
import { locationNodes, note, stackLines } from './stacks_view.js';
import { Table } from './table.js';

const COLUMNS = [
  { name: 'live', of: { run: 'Live', moment: 'Live', interval: 'Live \u0394' }, unit: 'bytes', help: 'Bytes allocated and not freed' },
  { name: 'liveBlocks', of: { run: 'Blocks', moment: 'Blocks', interval: 'Blocks \u0394' }, unit: 'count', priority: 3, help: 'Blocks allocated and not freed' },
  { name: 'peak', of: { run: 'At peak' }, unit: 'bytes', priority: 2, help: 'Live bytes at the moment of the process\u2019s peak' },
  { name: 'allocated', of: { run: 'Allocated', moment: 'Allocated', interval: 'Allocated' }, unit: 'bytes', priority: 2, help: 'All bytes ever asked for' },
  { name: 'allocations', of: { run: 'Allocations', moment: 'Allocations', interval: 'Allocations' }, unit: 'count', priority: 3 },
  { name: 'temporary', of: { run: 'Temporary', moment: 'Temporary', interval: 'Temporary' }, unit: 'count', priority: 4, help: 'Blocks freed before their thread allocated the next one' },
  { name: 'leaked', of: { run: 'Leaked' }, unit: 'bytes', priority: 3, help: 'Bytes that nothing points to any more (definite and indirect)' },
  { name: 'cpu', of: { run: 'malloc CPU' }, unit: 'count', priority: 4, help: 'CPU samples inside malloc and free for this site' },
];

export class Sites {
  constructor(recording, selection) {
    this.recording = recording;
    this.selection = selection;
    this.filter = element('input', { type: 'search', placeholder: 'Filter: words, or /regex/', 'aria-label': 'Filter sites by function, file or module', spellcheck: 'false', 'data-focus': '' });
    this.filter.addEventListener('input', delayed(() => this.refresh(true), 120));
    this.shown = element('span.hint', { role: 'status' });
    this.holder = element('div');
    this.root = element('div', {}, element('div.toolbar', {}, this.filter, this.shown), this.holder);
    this.table = null;
    this.isStale = true;
    selection.subscribe((_, what) => {
      this.isStale = true;
      if (what === 'process') {
        this.table = null;
      }
    });
  }

  refresh(isFiltered = false) {
    if (!this.isStale && !isFiltered) {
      return;
    }
    this.isStale = false;
    const { process } = this.selection;
    this.values = process.values(this.selection);
    const rows = this.#rows();
    if (this.table === null) {
      this.table = new Table({ label: 'Sites', columns: this.#columns(), rows, details: (site) => this.#details(site), sort: 'live', empty: 'No site matches.' });
      replace(this.holder, this.table.root);
    } else {
      this.table.setColumns(this.#columns());
      this.table.setRows(rows);
    }
  }

  #rows() {
    const { process, kind } = this.selection;
    const pattern = this.filter.value;
    const find = pattern === '' ? null : matcher(pattern);
    this.filter.classList.toggle('wrong', find === undefined);
    const stacks = find ? this.#matchingStacks(find) : null;
    const rows = [];
    for (let site = 0; site < process.siteCount; site++) {
      if ((stacks === null || stacks[process.sites.leaf[site]]) && (kind === 'run' || this.#hasValues(site))) {
        rows.push(site);
      }
    }
    let live = 0;
    for (const site of rows) {
      live += this.values.live[site];
    }
    const what = kind === 'interval' ? `live ${format.deltaBytes(live)}` : `${format.bytes(live)} live`;
    const problem = find === undefined ? 'not a regular expression: showing all, ' : '';
    this.shown.textContent = `${problem}${format.count(rows.length)} of ${format.count(process.siteCount)} sites, ${what}`;
    return rows;
  }

  #hasValues(site) {
    return this.values.live[site] !== 0 || this.values.allocations[site] !== 0;
  }

  /** By node: whether the stack that ends there has a frame that matches. */
  #matchingStacks(find) {
    const { recording } = this;
    const { frames } = recording;
    const texts = Uint8Array.from(recording.texts, (text) => (find(text) ? 1 : 0));
    const isFound = (frame) => (frames.function[frame] >= 0 && texts[frames.function[frame]])
      || (frames.file[frame] >= 0 && texts[frames.file[frame]])
      || (frames.module[frame] >= 0 && texts[frames.module[frame]])
      || (recording.place(frame) !== null && find(`${recording.name(frame)} ${recording.place(frame)}`));
    const result = new Uint8Array(recording.parent.length);
    const byAddress = new Map();
    for (let node = 1; node < result.length; node++) {
      const address = recording.address[node];
      if (!byAddress.has(address)) {
        const [from, to] = recording.framesAt(node);
        let found = 0;
        for (let frame = from; frame < to && !found; frame++) {
          found = isFound(frame) ? 1 : 0;
        }
        byAddress.set(address, found);
      }
      result[node] = result[recording.parent[node]] || byAddress.get(address);
    }
    return result;
  }

  #columns() {
    const { process, kind } = this.selection;
    const location = {
      name: 'location', title: 'Site', isText: true, isFirst: true, help: 'Sort by function',
      value: (site) => {
        const frame = process.location(site);
        return frame < 0 ? '' : this.recording.name(frame);
      },
      show: (site) => {
        const callers = process.isShared(site) ? process.callers(site, 3) : [];
        const text = callers.map((name) => `\u2190 ${name}`).join(' ');
        return [...locationNodes(this.recording, process.location(site)), ...(text === '' ? [] : [element('span.callers', { title: text }, text)])];
      },
    };
    const columns = COLUMNS.filter((column) => column.of[kind] !== undefined && this.#isUseful(column)).map((column) => {
      const values = this.values[column.name];
      const isDelta = kind === 'interval' && column.of[kind].endsWith('\u0394');
      const show = column.unit === 'bytes' ? (isDelta ? format.deltaBytes : format.bytes) : isDelta ? format.deltaCount : format.count;
      let total = 0;
      for (const value of values) {
        total += Math.abs(value);
      }
      return {
        ...column, title: column.of[kind],
        value: (site) => values[site],
        show: (site) => (values[site] === 0 ? element('span.zero', { title: '0' }, '0') : element(`span${isDelta ? (values[site] > 0 ? '.grew' : '.shrank') : ''}`, { title: format.count(values[site]) }, show(values[site]))),
        share: (site) => (total > 0 ? Math.abs(values[site]) / total : 0),
      };
    });
    return [location, ...columns];
  }

  /** Columns that the recording has nothing for are left out. */
  #isUseful(column) {
    return !['leaked', 'cpu'].includes(column.name) || this.values[column.name].some((value) => value !== 0);
  }

  #details(site) {
    const { process } = this.selection;
    const { sites } = process;
    const lifetime = `${format.count(sites.allocations[site])} allocations of ${format.bytes(sites.allocated_bytes[site])}, ${format.count(sites.frees[site])} frees`;
    const numbers = [lifetime,
      `live ${format.bytes(sites.live_bytes[site])} in ${format.count(sites.live_blocks[site])} blocks`,
      `at peak ${format.bytes(sites.peak_bytes[site])}`,
      sites.allocations[site] > 0 && `${format.bytes(sites.allocated_bytes[site] / sites.allocations[site])} on average`];
    const lines = [note(numbers.filter(Boolean).join('   \u00b7   '))];
    if (process.snapshots.length > 2) {
      lines.push(note('live over time ', sparkline(process.series(site))));
    }
    return [...lines, ...stackLines(this.recording, sites.leaf[site])];
  }
}

const SVG = 'http://www.w3.org/2000/svg';

/** A small curve. */
export function sparkline(values, width = 240, height = 16) {
  const high = Math.max(...values, 1);
  const points = values.map((value, i) => `${((i / (values.length - 1)) * width).toFixed(1)},${(height - 1 - (value / high) * (height - 2)).toFixed(1)}`);
  const svg = document.createElementNS(SVG, 'svg');
  const line = document.createElementNS(SVG, 'polyline');
  svg.setAttribute('class', 'sparkline');
  svg.setAttribute('width', String(width));
  svg.setAttribute('height', String(height));
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `from ${format.bytes(values[0])} to ${format.bytes(values[values.length - 1])}, at most ${format.bytes(high)}`);
  line.setAttribute('points', points.join(' '));
  svg.append(line);
  return svg;
}
