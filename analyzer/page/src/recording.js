// The recording that the page shows: names, stacks, and the values of sites at any moment.
// Its form is told in analyzer/report/page_data.h.
import { fileName, visible } from './format.js';

const INLINED = 1;
const RUNTIME = 2;

export class Recording {
  constructor(data) {
    this.data = data;
    this.run = data.run;
    this.texts = data.texts.map(visible);
    this.frames = data.frames;
    this.parent = Uint32Array.from(data.nodes.parent, (step, node) => node - step);
    this.address = Int32Array.from(data.nodes.address);
    this.first = data.addresses;
    this.children = childLists(this.parent);
    this.processes = data.processes.map((process) => new Process(this, process));
    this.opensWith = data.opens_with; // the first process, or the one that it only started
  }

  text(id) {
    return id < 0 ? null : this.texts[id];
  }

  /** Frames at a node, innermost first: [from, to). */
  framesAt(node) {
    const address = this.address[node];
    return address < 0 ? [0, 0] : [this.first[address], this.first[address + 1]];
  }

  /** All frames of a stack, innermost first. */
  stack(leaf) {
    const result = [];
    for (let node = leaf; node !== 0; node = this.parent[node]) {
      const [from, to] = this.framesAt(node);
      for (let frame = from; frame < to; frame++) {
        result.push(frame);
      }
    }
    return result;
  }

  /** The function's name, or where it is in its module. */
  name(frame) {
    const name = this.text(this.frames.function[frame]);
    if (name !== null) {
      return name;
    }
    const module = this.text(this.frames.module[frame]);
    return `${module !== null ? fileName(module) : '?'}+0x${this.frames.offset[frame].toString(16)}`;
  }

  /** "file.c:12", or null. */
  place(frame, isFull = false) {
    const file = this.text(this.frames.file[frame]);
    if (file === null) {
      return null;
    }
    const line = this.frames.line[frame];
    return (isFull ? file : fileName(file)) + (line > 0 ? `:${line}` : '');
  }

  module(frame) {
    return this.text(this.frames.module[frame]);
  }

  source(frame) {
    return this.text(this.frames.source[frame]);
  }

  isInlined(frame) {
    return (this.frames.flags[frame] & INLINED) !== 0;
  }

  isRuntime(frame) {
    return (this.frames.flags[frame] & RUNTIME) !== 0;
  }

  /** Frames with equal keys are one function. */
  key(frame) {
    const name = this.frames.function[frame];
    return name >= 0 ? name : `${this.frames.module[frame]}+${this.frames.offset[frame]}`;
  }
}

/** Children of each node as one list with starts: children of n are list[start[n]..start[n+1]). */
function childLists(parent) {
  const start = new Uint32Array(parent.length + 1);
  for (let node = 1; node < parent.length; node++) {
    start[parent[node] + 1]++;
  }
  for (let node = 0; node < parent.length; node++) {
    start[node + 1] += start[node];
  }
  const list = new Uint32Array(Math.max(parent.length - 1, 0));
  const next = start.slice();
  for (let node = 1; node < parent.length; node++) {
    list[next[parent[node]]++] = node;
  }
  return { start, list };
}

const COUNTERS = ['allocations', 'allocated_bytes', 'frees', 'freed_bytes', 'temporary_allocations'];

/** Bytes come without what a site's usual block would make of its blocks. */
function expandBytes(sites, changes) {
  const usual = sites.allocations.map((allocations, site) => (allocations > 0 ? Math.floor(sites.allocated_bytes[site] / allocations) : 0));
  for (let row = 0, site = 0; row < changes.site.length; row++) {
    site += changes.site[row];
    changes.allocated_bytes[row] += changes.allocations[row] * usual[site];
    changes.freed_bytes[row] += changes.frees[row] * usual[site];
  }
}

export class Process {
  constructor(recording, data) {
    this.recording = recording;
    Object.assign(this, data);
    this.siteCount = data.sites.id.length;
    expandBytes(data.sites, data.changes);
    this.states = new Map();
  }

  /** The location's frame of a site, -1 if it has none. */
  location(site) {
    return this.frameOf(this.sites.leaf[site], this.sites.location[site]);
  }

  /** Whether other sites have the same function: an allocation function of the program's own. */
  isShared(site) {
    if (this.sharing === undefined) {
      const counts = new Map();
      for (let each = 0; each < this.siteCount; each++) {
        const frame = this.location(each);
        if (frame >= 0) {
          const name = this.recording.name(frame);
          counts.set(name, (counts.get(name) ?? 0) + 1);
        }
      }
      this.sharing = counts;
    }
    const frame = this.location(site);
    return frame >= 0 && this.sharing.get(this.recording.name(frame)) > 1;
  }

  /** Names of the next functions outwards from a site's location. */
  callers(site, count) {
    const { recording } = this;
    const at = this.location(site);
    const names = at < 0 ? [] : [recording.name(at)];
    for (let depth = Math.max(this.sites.location[site], 0) + 1; at >= 0 && names.length <= count; depth++) {
      const frame = this.frameOf(this.sites.leaf[site], depth);
      if (frame < 0) {
        break;
      }
      if (recording.name(frame) !== names.at(-1)) {
        names.push(recording.name(frame));
      }
    }
    return names.slice(1);
  }

  frameOf(leaf, depth) {
    if (depth < 0) {
      const [from, to] = this.recording.framesAt(leaf);
      return from < to ? from : -1;
    }
    let rest = depth;
    for (let node = leaf; node !== 0; node = this.recording.parent[node]) {
      const [from, to] = this.recording.framesAt(node);
      if (rest < to - from) {
        return from + rest;
      }
      rest -= to - from;
    }
    return -1;
  }

  /** Cumulative counters of all sites at a snapshot (by its position). */
  counters(snapshot) {
    let state = this.states.get(snapshot);
    if (state === undefined) {
      state = this.sum(snapshot);
      this.states.set(snapshot, state);
    }
    return state;
  }

  sum(snapshot) {
    const changes = this.changes;
    const state = {};
    let end = 0;
    for (let i = 0; i <= snapshot; i++) {
      end += changes.rows[i];
    }
    for (const name of COUNTERS) {
      state[name] = new Float64Array(this.siteCount);
    }
    for (const name of COUNTERS) {
      const into = state[name];
      const deltas = changes[name];
      for (let row = 0, site = 0; row < end; row++) {
        site += changes.site[row];
        into[site] += deltas[row];
      }
    }
    return state;
  }

  /** Values of all sites: of the whole run, at a snapshot, or between two. */
  values(selection) {
    if (selection.kind === 'run') {
      return this.runValues();
    }
    const at = this.momentValues(selection.to);
    if (selection.kind === 'moment') {
      return at;
    }
    const before = this.momentValues(selection.from);
    const result = {};
    for (const [name, column] of Object.entries(at)) {
      result[name] = column.map((value, site) => value - before[name][site]);
    }
    return result;
  }

  runValues() {
    const { sites } = this;
    const leaked = (unit) => sites[`definite_${unit}`].map((value, site) => value + sites[`indirect_${unit}`][site]);
    this.whole ??= {
      live: sites.live_bytes,
      liveBlocks: sites.live_blocks,
      peak: sites.peak_bytes,
      allocated: sites.allocated_bytes,
      allocations: sites.allocations,
      temporary: sites.temporary_allocations,
      leaked: leaked('bytes'),
      leakedBlocks: leaked('blocks'),
      cpu: sites.allocator_cpu_samples,
    };
    return this.whole;
  }

  momentValues(snapshot) {
    const { sites } = this;
    const now = this.counters(snapshot);
    return {
      live: now.allocated_bytes.map((value, site) => value - now.freed_bytes[site] + sites.inherited_bytes[site]),
      liveBlocks: now.allocations.map((value, site) => value - now.frees[site] + sites.inherited_blocks[site]),
      allocated: now.allocated_bytes,
      allocations: now.allocations,
      temporary: now.temporary_allocations,
    };
  }

  /** Live bytes of one site at every snapshot. */
  series(site) {
    const changes = this.changes;
    const result = [];
    let live = this.sites.inherited_bytes[site];
    let row = 0;
    let at = 0;
    for (const rows of changes.rows) {
      for (let i = 0; i < rows; i++, row++) {
        at += changes.site[row];
        if (at === site) {
          live += changes.allocated_bytes[row] - changes.freed_bytes[row];
        }
      }
      result.push(live);
    }
    return result;
  }

  /** The position of the snapshot nearest to a time; -1 without snapshots. */
  snapshotAt(time) {
    let best = this.snapshots.length > 0 ? 0 : -1;
    this.snapshots.forEach((snapshot, position) => {
      if (Math.abs(snapshot.seconds - time) < Math.abs(this.snapshots[best].seconds - time)) {
        best = position;
      }
    });
    return best;
  }

  get hasSites() {
    return this.siteCount > 0;
  }

  get title() {
    const name = this.facts.program ? fileName(visible(this.facts.program)) : 'unknown program';
    return `#${this.facts.index} ${name} (pid ${this.facts.pid})`;
  }
}
