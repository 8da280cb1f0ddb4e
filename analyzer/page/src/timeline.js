// Memory and activity over time. A click chooses the snapshot at that moment, a drag the interval
// between two.
import uPlot from 'uplot';
import { element, replace } from './dom.js';
import * as format from './format.js';

const MEMORY_HEIGHT = 200;
const ACTIVITY_HEIGHT = 96;
const RIGHT_AXIS = 52;

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Differences over time of a column that only rises. */
function rates(times, column, scale) {
  return column.map((value, i) => {
    if (i === 0 || value === null || column[i - 1] === null || times[i] <= times[i - 1]) {
      return null;
    }
    return Math.max((value - column[i - 1]) * scale / (times[i] - times[i - 1]), 0);
  });
}

const BUCKETS_MAX = 240;
const BUCKET_LEAST_SECONDS = 0.05;

/** Positions of the times between which rates are taken: ticks of the kernel's clock are no rate. */
function bucketEnds(times) {
  const width = Math.max((times[times.length - 1] - times[0]) / BUCKETS_MAX, BUCKET_LEAST_SECONDS);
  const ends = [0];
  for (let i = 1; i < times.length; i++) {
    if (times[i] - times[ends[ends.length - 1]] >= width || i === times.length - 1) {
      ends.push(i);
    }
  }
  return ends;
}

/** Columns to draw: of the timeline, or of the snapshots where there is none. */
function columnsOf(process) {
  const points = process.points;
  if (points.seconds.length >= 2) {
    const ends = bucketEnds(points.seconds);
    const pick = (column) => ends.map((i) => column[i]);
    const rateTimes = pick(points.seconds);
    return {
      rateTimes,
      times: points.seconds,
      live: points.live_bytes,
      high: points.live_max_bytes,
      rss: points.rss_bytes,
      allocator: points.allocator_resident_bytes,
      allocations: rates(rateTimes, pick(points.allocations), 1),
      cpu: rates(rateTimes, pick(points.cpu_ns), 1e-7),
    };
  }
  const times = process.snapshots.map((snapshot) => snapshot.seconds);
  const live = process.snapshots.map((snapshot) => snapshot.live_bytes);
  return {
    times,
    rateTimes: times,
    live,
    high: live,
    rss: process.snapshots.map((snapshot) => snapshot.rss_bytes),
    allocator: live.map(() => null),
    allocations: rates(times, process.snapshots.map((snapshot) => snapshot.allocations), 1),
    cpu: live.map(() => null),
  };
}

function hasAny(column) {
  return column.some((value) => value !== null && value !== 0);
}

export class Timeline {
  constructor(selection) {
    this.selection = selection;
    this.plots = [];
    this.drawing = element('div.plots', {
      role: 'img',
      'aria-label': 'Live memory, resident memory, allocation rate and CPU over time. Choose snapshots with the lists above or the keys [ and ].',
    });
    this.controls = element('div.toolbar');
    this.root = element('section.card.timeline', { 'aria-label': 'Timeline' }, this.controls, this.drawing);
    this.width = 0;
    new ResizeObserver(() => {
      if (this.drawing.clientWidth !== this.width && this.drawing.clientWidth > 0) {
        this.width = this.drawing.clientWidth;
        this.#resize();
      }
    }).observe(this.drawing);
    selection.subscribe((_, what) => {
      if (what === 'process') {
        this.rebuild();
      } else {
        this.#drawControls();
        this.plots.forEach((plot) => plot.redraw(false));
      }
    });
    this.rebuild();
  }

  #resize() {
    if (this.plots.length === 0) {
      this.rebuild();
      return;
    }
    this.plots.forEach((plot) => plot.setSize({ width: this.width, height: plot.height }));
  }

  /** Anew: for another process, or in other colours. */
  rebuild() {
    this.plots.forEach((plot) => plot.destroy());
    this.plots = [];
    this.#drawControls();
    const { process } = this.selection;
    const columns = columnsOf(process);
    if (columns.times.length < 2) {
      replace(this.drawing, element('p.missing', {}, 'This run was too short for a timeline: it ended before its second tick. Record one that runs longer.'));
      return;
    }
    if (this.drawing.clientWidth === 0) {
      return;
    }
    this.width = this.drawing.clientWidth;
    replace(this.drawing);
    this.plots.push(this.#plotMemory(columns));
    if (hasAny(columns.allocations) || hasAny(columns.cpu)) {
      this.plots.push(this.#plotActivity(columns));
    }
  }

  #options(height, series, axes, scales) {
    const hasRightAxis = axes.some((each) => each.side === 1);
    const axis = { stroke: color('faint'), grid: { stroke: color('grid'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    return {
      width: this.width,
      height,
      padding: [8, hasRightAxis ? 0 : RIGHT_AXIS, 0, 0],
      cursor: { y: false, sync: { key: 'memtrack' }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      legend: { live: true },
      scales: { x: { time: false }, ...scales },
      series: [{ label: 'time', value: (_, value) => (value === null ? '' : format.seconds(value)) },
        ...series.map((each) => ({ ...each, points: { show: false } }))],
      axes: [{ ...axis, values: (_, ticks) => ticks.map(format.seconds), space: 80, size: 26, gap: 6 }, ...axes.map((each) => ({ ...axis, size: 64, ...each }))],
      hooks: {
        drawClear: [(plot) => this.#drawSelected(plot)],
        draw: [(plot) => this.#drawSnapshots(plot)],
        setSelect: [(plot) => this.#choose(plot)],
        ready: [(plot) => this.#listen(plot)],
      },
    };
  }

  #plotMemory(columns) {
    const value = (_, number) => (number === null ? '' : format.bytes(number));
    const series = [{ label: 'live', stroke: color('live'), fill: color('live-fill'), width: 1.5, value }];
    const data = [columns.times, columns.live];
    if (hasAny(columns.rss)) {
      series.push({ label: 'RSS', stroke: color('rss'), width: 1.5, value });
      data.push(columns.rss);
    }
    if (hasAny(columns.allocator)) {
      series.push({ label: 'allocator resident', stroke: color('allocator'), width: 1.5, dash: [4, 3], value });
      data.push(columns.allocator);
    }
    const options = this.#options(MEMORY_HEIGHT, series, [{
      values: (_, ticks) => ticks.map(format.bytes),
      incrs: Array.from({ length: 50 }, (_, i) => 2 ** i),
    }], { y: { range: (_, __, high) => [0, (high || 1) * 1.05] } });
    return new uPlot(options, data, this.drawing);
  }

  #plotActivity(columns) {
    const steps = uPlot.paths.stepped({ align: -1 });
    const range = (_, __, high) => [0, (high || 1) * 1.1];
    const series = [];
    const axes = [];
    const data = [columns.rateTimes];
    if (hasAny(columns.allocations)) {
      series.push({ label: 'allocations/s', scale: 'rate', stroke: color('rate'), fill: color('rate-fill'), width: 1, paths: steps,
        value: (_, number) => (number === null ? '' : `${format.count(number)}/s`) });
      axes.push({ scale: 'rate', values: (_, ticks) => ticks.map(shortCount), size: 64 });
      data.push(columns.allocations);
    }
    if (hasAny(columns.cpu)) {
      series.push({ label: 'CPU', scale: 'cpu', stroke: color('cpu'), width: 1.5, paths: steps,
        value: (_, number) => (number === null ? '' : `${number.toFixed(0)} %`) });
      axes.push({ scale: 'cpu', side: 1, grid: { show: false }, values: (_, ticks) => ticks.map((tick) => `${tick} %`), size: RIGHT_AXIS });
      data.push(columns.cpu);
    }
    return new uPlot(this.#options(ACTIVITY_HEIGHT, series, axes, { rate: { range }, cpu: { range } }), data, this.drawing);
  }

  #time(snapshot) {
    return this.selection.process.snapshots[snapshot].seconds;
  }

  #drawSelected(plot) {
    const { selection } = this;
    if (selection.kind === 'run') {
      return;
    }
    const { ctx, bbox } = plot;
    const to = plot.valToPos(this.#time(selection.to), 'x', true);
    ctx.save();
    ctx.fillStyle = color('selected');
    if (selection.kind === 'interval') {
      const from = plot.valToPos(this.#time(selection.from), 'x', true);
      ctx.fillRect(from, bbox.top, to - from, bbox.height);
    } else {
      ctx.fillRect(to - 1.5 * devicePixelRatio, bbox.top, 3 * devicePixelRatio, bbox.height);
    }
    ctx.restore();
  }

  /** A tick below the curve for each snapshot. */
  #drawSnapshots(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    const height = 5 * devicePixelRatio;
    this.selection.process.snapshots.forEach((snapshot, position) => {
      const { kind, from, to } = this.selection;
      const isChosen = (kind !== 'run' && position === to) || (kind === 'interval' && position === from);
      ctx.fillStyle = color(isChosen ? 'accent' : 'tick');
      const x = plot.valToPos(snapshot.seconds, 'x', true);
      if (x >= bbox.left && x <= bbox.left + bbox.width) {
        ctx.fillRect(x - devicePixelRatio / 2, bbox.top + bbox.height - height, devicePixelRatio * (isChosen ? 2 : 1), height);
      }
    });
    ctx.restore();
  }

  #listen(plot) {
    let pressedAt = null;
    plot.over.addEventListener('mousedown', (event) => {
      pressedAt = event.clientX;
    });
    plot.over.addEventListener('click', (event) => {
      if (pressedAt !== null && Math.abs(event.clientX - pressedAt) < 5) {
        const x = event.clientX - plot.over.getBoundingClientRect().left;
        this.selection.moment(this.selection.process.snapshotAt(plot.posToVal(x, 'x')));
      }
      pressedAt = null;
    });
  }

  #choose(plot) {
    const { left, width } = plot.select;
    if (width < 5) {
      return;
    }
    const { process } = this.selection;
    const from = process.snapshotAt(plot.posToVal(left, 'x'));
    const to = process.snapshotAt(plot.posToVal(left + width, 'x'));
    this.plots.forEach((each) => each.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false));
    this.selection.interval(from, to);
  }

  #drawControls() {
    const { selection } = this;
    const { snapshots } = selection.process;
    const last = snapshots.length - 1;
    const mode = (kind, label, hint, choose) => element(`button.mode${selection.kind === kind ? '.chosen' : ''}`, {
      type: 'button', title: hint, 'aria-pressed': String(selection.kind === kind), onclick: choose,
      disabled: kind !== 'run' && last < (kind === 'moment' ? 0 : 1), 'data-kind': kind,
    }, label);
    const choice = (label, position, choose) => element('label', {}, `${label} `,
      element('select', { 'aria-label': `${label} snapshot`, onchange: (event) => choose(Number(event.target.value)) },
        ...snapshots.map((snapshot, i) => element('option', { value: String(i), selected: i === position },
          `${format.seconds(snapshot.seconds)}${snapshot.label ? ` ${format.visible(snapshot.label)}` : ''}${snapshot.cause === 'exit' ? ' (exit)' : ''}`))));
    replace(this.controls,
      element('h2', {}, 'Timeline'),
      element('div.modes', { role: 'group', 'aria-label': 'What the tables and the flame graph show' },
        mode('run', 'Whole run', 'Everything, as the run ended (key 0)', () => selection.wholeRun()),
        mode('moment', 'Moment', 'One snapshot: click into the timeline', () => selection.moment(selection.kind === 'interval' ? selection.to : last)),
        mode('interval', 'Interval', 'What changed between two snapshots: drag over the timeline', () => selection.interval(0, selection.kind === 'moment' && selection.to > 0 ? selection.to : last))),
      selection.kind === 'interval' && choice('from', selection.from, (position) => selection.interval(position, selection.to)),
      selection.kind !== 'run' && choice(selection.kind === 'interval' ? 'to' : 'at', selection.to,
        (position) => (selection.kind === 'interval' ? selection.interval(selection.from, position) : selection.moment(position))),
      element('span.hint', {}, last < 0 ? 'No snapshots were taken: record with --snapshot-every 1s to choose moments.'
        
        : selection.kind === 'run' && last > 0 ? 'Click for a moment, drag for an interval.' : ''));
  }
}

function shortCount(value) {
  if (value >= 1e6) {
    return `${(value / 1e6).toFixed(value % 1e6 ? 1 : 0)}M`;
  }
  return value >= 1e3 ? `${(value / 1e3).toFixed(value % 1e3 ? 1 : 0)}k` : String(value);
}
