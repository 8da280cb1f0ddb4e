// What is looked at: a process, and of it the whole run, a moment or an interval.

export class Selection {
  constructor(process) {
    this.process = process;
    this.kind = 'run';
    this.from = 0;
    this.to = 0;
    this.listeners = [];
  }

  subscribe(listener) {
    this.listeners.push(listener);
  }

  #tell(what) {
    for (const listener of this.listeners) {
      listener(this, what);
    }
  }

  setProcess(process) {
    this.process = process;
    this.kind = 'run';
    this.#tell('process');
  }

  wholeRun() {
    this.kind = 'run';
    this.#tell('time');
  }

  moment(snapshot) {
    if (snapshot >= 0 && snapshot < this.process.snapshots.length) {
      this.kind = 'moment';
      this.to = snapshot;
      this.#tell('time');
    }
  }

  interval(a, b) {
    if (a === b || a < 0 || b < 0) {
      this.moment(b);
      return;
    }
    this.kind = 'interval';
    this.from = Math.min(a, b);
    this.to = Math.max(a, b);
    this.#tell('time');
  }

  /** Moves the moment, or the interval's end, by so many snapshots. */
  step(by) {
    const last = this.process.snapshots.length - 1;
    if (last < 0) {
      return;
    }
    if (this.kind === 'run') {
      this.moment(by < 0 ? last : 0);
    } else if (this.kind === 'moment') {
      this.moment(Math.min(Math.max(this.to + by, 0), last));
    } else {
      const to = Math.min(Math.max(this.to + by, this.from + 1), last);
      this.interval(this.from, to);
    }
  }
}
