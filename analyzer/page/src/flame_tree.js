// The part of a call tree that a flame graph can show: frames merged by function, the largest
// first, what would be too narrow to see left out. Zooming in makes it anew from there.

const NODES_MAX = 2500;
const FRACTION_LEAST = 1 / 1200;
const DEPTH_MAX = 400;

/** Sums over subtrees. values: [leaf node, value]; width: sums of what is shown as width. */
export class StackSums {
  constructor(recording, entries) {
    const size = recording.parent.length;
    this.recording = recording;
    this.own = new Float64Array(size);
    this.ownWidth = new Float64Array(size);
    this.extra = new Float64Array(size);
    for (const [leaf, value, extra] of entries) {
      this.own[leaf] += value;
      this.ownWidth[leaf] += Math.abs(value);
      this.extra[leaf] += extra ?? 0;
    }
    this.net = this.own.slice();
    this.width = this.ownWidth.slice();
    this.extraWidth = this.extra.slice();
    for (let node = size - 1; node > 0; node--) {
      const parent = recording.parent[node];
      this.net[parent] += this.net[node];
      this.width[parent] += this.width[node];
    }
    this.isSigned = this.own.some((value) => value < 0);
  }
}

/*
 * A position is a frame of a stack: node, which of its inlined frames, net value and width.
 * callees: from the outermost frame inwards. callers: from the innermost outwards.
 */
function calleesBelow(sums, position) {
  const { recording } = sums;
  if (position.depth > 0) {
    return [{ ...position, depth: position.depth - 1 }];
  }
  const { start, list } = recording.children;
  const result = [];
  for (let i = start[position.node]; i < start[position.node + 1]; i++) {
    const node = list[i];
    if (sums.width[node] > 0) {
      const [from, to] = recording.framesAt(node);
      result.push({ node, depth: to - from - 1, net: sums.net[node], width: sums.width[node] });
    }
  }
  if (sums.extra[position.node] > 0) {
    result.push({ node: position.node, depth: -1, net: sums.extra[position.node], width: sums.extra[position.node], name: '[malloc and free]' });
  }
  return result;
}

function callersAbove(sums, position) {
  const { recording } = sums;
  if (position.node < 0) {
    const result = [];
    for (let node = 1; node < sums.own.length; node++) {
      if (sums.ownWidth[node] > 0) {
        result.push({ node, depth: 0, net: sums.own[node], width: sums.ownWidth[node] });
      }
    }
    return result;
  }
  const [from, to] = recording.framesAt(position.node);
  if (position.depth + 1 < to - from) {
    return [{ ...position, depth: position.depth + 1 }];
  }
  const parent = recording.parent[position.node];
  return parent === 0 ? [] : [{ ...position, node: parent, depth: 0 }];
}

function label(recording, position) {
  if (position.name !== undefined) {
    return { key: position.name, frame: -1, name: position.name };
  }
  const frame = recording.framesAt(position.node)[0] + position.depth;
  return { key: recording.key(frame), frame, name: recording.name(frame) };
}

/** Children of a shown node: positions below it, merged by function, widest first. */
function expand(sums, shown, isCallers) {
  const groups = new Map();
  for (const position of shown.positions) {
    if (position.depth < 0 && position.name !== undefined) {
      continue;
    }
    const next = isCallers ? callersAbove(sums, position) : calleesBelow(sums, position);
    for (const each of next) {
      const { key, frame, name } = label(sums.recording, each);
      let group = groups.get(key);
      if (group === undefined) {
        group = { key, frame, name, value: 0, net: 0, depth: shown.depth + 1, positions: [], parent: shown };
        groups.set(key, group);
      }
      group.value += each.width;
      group.net += each.net;
      group.positions.push(each);
    }
  }
  return [...groups.values()].sort((a, b) => b.value - a.value);
}

function rootOf(sums, isCallers) {
  const root = { key: 'all', frame: -1, name: 'all', value: sums.width[0], net: sums.net[0], depth: 0, parent: null, positions: [] };
  if (isCallers) {
    root.positions.push({ node: -1, depth: 0 });
    root.value = sums.ownWidth.reduce((sum, value, node) => sum + (node > 0 ? value : 0), 0);
  } else {
    root.positions.push({ node: 0, depth: 0 });
  }
  return root;
}

/**
 * The tree to show, in d3-flame-graph's form. path: keys from the root to the frame that was
 * zoomed into; it and its ancestors alone are there above it. Returns { tree, focus, hidden }.
 */
export function flameTree(sums, isCallers, path) {
  const root = rootOf(sums, isCallers);
  let focus = root;
  for (const key of path) {
    const child = expand(sums, focus, isCallers).find((each) => each.key === key);
    if (child === undefined) {
      break;
    }
    focus.children = [child];
    focus.fade = true;
    focus = child;
  }
  const queue = [focus];
  const least = focus.value * FRACTION_LEAST;
  let hidden = 0;
  let made = 1;
  // Level by level, the widest first within a level: what is cut is the narrow and the deep.
  for (let at = 0; at < queue.length; at++) {
    const node = queue[at];
    const children = expand(sums, node, isCallers);
    node.children = [];
    for (const child of children) {
      if (child.value < least || made >= NODES_MAX || child.depth > DEPTH_MAX) {
        hidden++;
        continue;
      }
      made++;
      node.children.push(child);
      queue.push(child);
    }
    node.positions = null;
  }
  return { tree: root, focus, hidden, isCallers };
}
