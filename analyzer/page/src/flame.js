// The flame graph's view: metric, direction, search, zoom by mouse and by keys.
import { select } from 'd3-selection';
import flamegraph from 'd3-flame-graph';
import { delayed, element, replace } from './dom.js';
import { StackSums, flameTree } from './flame_tree.js';
import * as format from './format.js';
import { matcher } from './search.js';

const CELL = 20;

const METRICS = {
  live: { title: 'Live bytes', show: format.bytes, of: ['run', 'moment', 'interval'] },
  peak: { title: 'Bytes at the peak', show: format.bytes, of: ['run'] },
  allocated: { title: 'Allocated bytes', show: format.bytes, of: ['run', 'moment', 'interval'] },
  allocations: { title: 'Allocations', show: format.count, of: ['run', 'moment', 'interval'] },
  temporary: { title: 'Temporary allocations', show: format.count, of: ['run', 'moment', 'interval'] },
  leaked: { title: 'Leaked bytes', show: format.bytes, of: ['run'] },
  cpu: { title: 'CPU samples', show: format.count, of: ['run'] },
};

const WHY_EMPTY = {
  live: 'Nothing is live in this state.',
  peak: 'Nothing was allocated, so there is no peak.',
  allocated: 'Nothing was allocated here.',
  allocations: 'Nothing was allocated here.',
  temporary: 'No temporary allocations: no block was freed before its thread allocated the next one.',
  leaked: 'Nothing leaked, or no scan was made: record with --leaks=full to find lost blocks.',
  cpu: 'No CPU samples: record with --cpu 99 (and let the program use the CPU).',
};

export class Flame {
  constructor(recording, selection) {
    this.recording = recording;
    this.selection = selection;
    this.metric = 'live';
    this.isIcicle = true;
    this.isCallers = false;
    this.path = [];
    this.find = null;
    this.chart = null;
    this.toolbar = element('div.toolbar');
    this.detail = element('p.flame-detail', { role: 'status', 'aria-live': 'polite' });
    this.drawing = element('div.flame', {
      tabindex: '0', role: 'application',
      'aria-label': 'Flame graph. Arrow keys move between frames, Enter zooms in, Escape zooms out.',
      onkeydown: (event) => this.#key(event),
    });
    this.search = element('input', { type: 'search', placeholder: 'Search functions', 'aria-label': 'Search functions in the flame graph', spellcheck: 'false', 'data-focus': '' });
    this.search.addEventListener('input', delayed(() => this.#search(), 120));
    this.found = element('span.hint', { role: 'status' });
    this.root = element('div', {}, this.toolbar, this.detail, this.drawing);
    this.width = 0;
    new ResizeObserver(() => {
      if (this.drawing.clientWidth > 0 && this.drawing.clientWidth !== this.width) {
        this.#draw();
      }
    }).observe(this.drawing);
    selection.subscribe((_, what) => {
      this.isStale = true;
      if (what === 'process') {
        this.path = [];
      }
    });
    this.isStale = true;
  }

  refresh() {
    if (this.isStale) {
      this.isStale = false;
      this.#sum();
      this.#drawToolbar();
      this.#draw();
    }
  }

  #entries() {
    const { process } = this.selection;
    if (this.metric === 'cpu') {
      const { stacks } = process.cpu;
      return (stacks?.leaf ?? []).map((leaf, i) => [leaf, stacks.samples[i] + stacks.allocator_samples[i], stacks.allocator_samples[i]]);
    }
    const column = process.values(this.selection)[this.metric];
    return process.sites.leaf.map((leaf, site) => [leaf, column[site]]);
  }

  #sum() {
    if (!METRICS[this.metric].of.includes(this.selection.kind)) {
      this.metric = 'live';
    }
    this.sums = new StackSums(this.recording, this.#entries());
  }

  show(value) {
    const { show } = METRICS[this.metric];
    return this.sums.isSigned && value > 0 ? `+${show(value)}` : show(value);
  }

  #drawToolbar() {
    const { kind } = this.selection;
    const again = (change) => (event) => {
      change(event);
      this.path = [];
      this.#sum();
      this.#drawToolbar();
      this.#draw();
    };
    const title = (name) => METRICS[name].title + (kind === 'interval' ? (name === 'live' ? ': difference' : ' in the interval') : kind === 'moment' && name !== 'live' ? ' until then' : '');
    const toggle = (label, hint, isOn, change) => element(`button.mode${isOn ? '.chosen' : ''}`, { type: 'button', title: hint, 'aria-pressed': String(isOn), onclick: again(change) }, label);
    replace(this.toolbar,
      element('label', {}, 'Show ', element('select', { 'aria-label': 'Metric', 'data-role': 'metric', onchange: again((event) => { this.metric = event.target.value; }) },
        ...Object.keys(METRICS).filter((name) => METRICS[name].of.includes(kind)).map((name) => element('option', { value: name, selected: name === this.metric }, title(name))))),
      element('div.modes', { role: 'group', 'aria-label': 'Direction' },
        toggle('Callees', 'From main down to the allocating function', !this.isCallers, () => { this.isCallers = false; }),
        toggle('Callers', 'From the allocating function up to main', this.isCallers, () => { this.isCallers = true; })),
      toggle('Flames', 'Let it grow upwards', !this.isIcicle, () => { this.isIcicle = !this.isIcicle; }),
      this.search, this.found,
      element('button.plain', { type: 'button', 'data-role': 'reset', onclick: () => this.#zoom([]), disabled: this.path.length === 0 }, 'Reset zoom'));
  }

  #draw() {
    this.width = this.drawing.clientWidth;
    if (this.width === 0) {
      this.isStale = true;
      return;
    }
    replace(this.drawing);
    this.chart = null;
    if (!(this.sums.width[0] > 0)) {
      replace(this.drawing, element('p.missing', {}, WHY_EMPTY[this.metric]));
      this.detail.textContent = '';
      return;
    }
    const made = flameTree(this.sums, this.isCallers, this.path);
    this.total = made.tree.value;
    this.hidden = made.hidden;
    this.chart = flamegraph()
      .width(this.width)
      .cellHeight(CELL)
      .inverted(this.isIcicle)
      .sort(false)
      .transitionDuration(0)
      .minFrameSize(1)
      .selfValue(false)
      .setColorMapper((node) => this.#color(node))
      .tooltip(() => undefined)
      .onHover((node) => this.#tell(node))
      .onClick((node) => this.#zoom(this.#pathOf(node)));
    this.chart.tooltip(silentTooltip());
    select(this.drawing).datum(made.tree).call(this.chart);
    const svg = this.drawing.querySelector('svg');
    svg.setAttribute('aria-hidden', 'true');
    this.current = select(this.drawing).datum();
    this.#searched();
    this.#tellFocus(made.focus);
  }

  #pathOf(node) {
    const path = [];
    for (let at = node; at.parent; at = at.parent) {
      path.unshift(at.data.key);
    }
    return path;
  }

  #zoom(path) {
    this.path = path;
    this.#draw();
    this.#drawToolbar();
  }

  #color(node) {
    const { data } = node;
    if (this.find !== null && data.depth > 0 && this.find(data.name)) {
      return cssColor('found');
    }
    if (data.depth === 0) {
      return cssColor('frame-all');
    }
    if (this.sums.isSigned || this.selection.kind === 'interval') {
      const share = data.value > 0 ? data.net / data.value : 0;
      const strength = 25 + Math.round(Math.abs(share) * 55);
      return `color-mix(in srgb, ${cssColor(share > 0 ? 'grew' : 'shrank')} ${strength}%, ${cssColor('frame-same')})`;
    }
    const isRuntime = data.frame >= 0 && this.recording.isRuntime(data.frame);
    const hue = isRuntime || data.frame < 0 ? null : nameHue(data.name);
    return hue === null ? cssColor('frame-runtime') : `hsl(${hue} ${cssColor('frame-saturation')} ${cssColor('frame-lightness')})`;
  }

  #line(data) {
    const parts = [data.name, `${this.show(data.net)}  ${format.percent(data.value, this.total)}`];
    if (data.frame >= 0) {
      parts.push(this.recording.place(data.frame, true) ?? this.recording.module(data.frame) ?? '');
    }
    return parts;
  }

  #tell(node) {
    const [name, numbers, place] = this.#line(node.data);
    replace(this.detail, element('strong', {}, name), ` ${numbers} `, element('span.place', {}, place ?? ''));
  }

  #tellFocus(focus) {
    const [name, numbers] = this.#line(focus);
    replace(this.detail, element('strong', {}, focus.depth === 0 ? 'All stacks' : name), ` ${numbers} `,
      element('span.place', {}, this.hidden > 0 ? `too narrow to show: ${format.count(this.hidden)}; click a frame to see all below it` : ''));
  }

  #search() {
    this.find = this.search.value === '' ? null : matcher(this.search.value);
    this.search.classList.toggle('wrong', this.find === undefined);
    this.find ??= null;
    if (this.chart !== null) {
      this.chart.update();
    }
    this.#searched();
  }

  /** Exact, whatever is too narrow to be shown. */
  #searched() {
    if (this.find === null) {
      this.found.textContent = '';
      return;
    }
    const { recording, sums } = this;
    const frames = recording.frames.function.length;
    const isFound = new Uint8Array(frames);
    for (let frame = 0; frame < frames; frame++) {
      isFound[frame] = this.find(recording.name(frame)) ? 1 : 0;
    }
    const below = new Uint8Array(recording.parent.length);
    let sum = 0;
    let total = 0;
    for (let node = 1; node < below.length; node++) {
      below[node] = below[recording.parent[node]];
      const [from, to] = recording.framesAt(node);
      for (let frame = from; frame < to && !below[node]; frame++) {
        below[node] = isFound[frame];
      }
      sum += below[node] ? sums.ownWidth[node] : 0;
      total += sums.ownWidth[node];
    }
    this.found.textContent = `${METRICS[this.metric].show(sum)}, ${format.percent(sum, total) || '0 %'} match`;
  }

  #key(event) {
    if (this.chart === null || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const node = this.current;
    const siblings = node.parent ? node.parent.children : [node];
    const at = siblings.indexOf(node);
    const [inwards, outwards] = this.isIcicle ? ['ArrowDown', 'ArrowUp'] : ['ArrowUp', 'ArrowDown'];
    let next = null;
    if (event.key === inwards) {
      next = (node.children ?? []).find((child) => child.value > 0);
    } else if (event.key === outwards) {
      next = node.parent;
    } else if (event.key === 'ArrowRight') {
      next = siblings[at + 1];
    } else if (event.key === 'ArrowLeft') {
      next = siblings[at - 1];
    } else if (event.key === 'Enter' || event.key === ' ') {
      this.#zoom(this.#pathOf(node));
    } else if (event.key === 'Escape' && this.path.length > 0) {
      this.#zoom(this.path.slice(0, -1));
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    if (next) {
      this.current = next;
      this.#tell(next);
      select(this.drawing).selectAll('g').classed('current', (each) => each === next);
    }
  }
}

/** d3-flame-graph adds a title to every frame unless it has a tooltip. */
function silentTooltip() {
  const tooltip = () => undefined;
  tooltip.show = () => undefined;
  tooltip.hide = () => undefined;
  tooltip.destroy = () => undefined;
  return tooltip;
}

const colors = new Map();
export function forgetColors() {
  colors.clear();
}
function cssColor(name) {
  if (!colors.has(name)) {
    colors.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  }
  return colors.get(name);
}

/** Warm hues, the same for the same namespace or prefix. */
function nameHue(name) {
  const word = name.split(/::|_|<|\(/)[0];
  let sum = 0;
  for (let i = 0; i < word.length; i++) {
    sum = (sum * 31 + word.charCodeAt(i)) >>> 0;
  }
  return 12 + (sum % 46);
}
