// A table of any length: only the rows in sight exist. Rows open to show lines of detail, whose
// heights are known beforehand, so that scrolling stays exact.
import { element, replace, throttled } from './dom.js';

const ROW = 30;
const LINE = 20;
const PADDING = 14;
const SPARE = 6;

/**
 * columns: [{ name, title, help, isText, priority, compare(a, b), value(row), show(row), share(row) }]
 * details(row): [{ nodes: [...], kind }], or null if rows do not open.
 */
export class Table {
  constructor({ label, columns, rows, details = null, sort = null, empty = 'Nothing here.' }) {
    this.details = details;
    this.empty = empty;
    this.open = new Map();
    this.active = -1;
    this.order = { name: sort, isDescending: true };
    this.heading = element('div.table-heading', { role: 'row' });
    this.space = element('div.table-space', { role: 'presentation' });
    this.view = element('div.table-view', { tabindex: '0', role: 'presentation', 'aria-label': label },
      this.space);
    this.root = element('div.table', { role: details ? 'treegrid' : 'grid', 'aria-label': label }, this.heading, this.view);
    this.draw = throttled(() => this.#draw());
    this.view.addEventListener('scroll', this.draw, { passive: true });
    this.view.addEventListener('keydown', (event) => this.#key(event));
    new ResizeObserver(this.draw).observe(this.view);
    this.setColumns(columns);
    this.setRows(rows);
  }

  setColumns(columns) {
    this.columns = columns;
    if (!columns.some((column) => column.name === this.order.name)) {
      this.order = { name: columns.find((column) => !column.isText).name, isDescending: true };
    }
  }

  setRows(rows) {
    this.rows = rows;
    this.active = -1;
    this.#sort();
  }

  sortBy(name) {
    const column = this.columns.find((each) => each.name === name);
    const isSame = this.order.name === name;
    this.order = { name, isDescending: isSame ? !this.order.isDescending : !column.isText };
    this.#sort();
    this.view.scrollTop = 0;
  }

  #sort() {
    const column = this.columns.find((each) => each.name === this.order.name);
    const sign = this.order.isDescending ? -1 : 1;
    if (column.isText) {
      const keys = new Map(this.rows.map((row) => [row, column.value(row)]));
      const collator = new Intl.Collator('en');
      this.rows.sort((a, b) => sign * collator.compare(keys.get(a), keys.get(b)));
    } else {
      this.rows.sort((a, b) => sign * ((column.value(a) ?? -Infinity) - (column.value(b) ?? -Infinity)) || 0);
    }
    this.#drawHeading();
    this.#measure();
    this.draw();
  }

  #drawHeading() {
    replace(this.heading, ...this.columns.map((column) => {
      const isSorted = column.name === this.order.name;
      return element(`div.cell.${column.isText ? 'text' : 'number'}.p${column.priority ?? 1}`, {
        role: 'columnheader',
        'aria-sort': isSorted ? (this.order.isDescending ? 'descending' : 'ascending') : 'none',
      }, element('button', {
        type: 'button',
        title: column.help ?? `Sort by ${column.title}`,
        'data-column': column.name,
        onclick: () => this.sortBy(column.name),
      }, column.title, element('span.arrow', { 'aria-hidden': 'true' }, isSorted ? (this.order.isDescending ? '\u25be' : '\u25b4') : '')));
    }));
  }

  /** tops[i]: where row i begins; tops[length]: the end. */
  #measure() {
    const tops = new Float64Array(this.rows.length + 1);
    for (let i = 0; i < this.rows.length; i++) {
      const lines = this.open.get(this.rows[i]) ?? 0;
      tops[i + 1] = tops[i] + ROW + (lines > 0 ? lines * LINE + PADDING : 0);
    }
    this.tops = tops;
    this.space.style.height = `${this.rows.length > 0 ? tops[this.rows.length] : 2 * ROW}px`;
    this.root.setAttribute('aria-rowcount', String(this.rows.length));
  }

  #rowAt(y) {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1] <= y) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  #draw() {
    if (this.rows.length === 0) {
      replace(this.space, element('p.table-empty', {}, this.empty));
      return;
    }
    const from = Math.max(this.#rowAt(this.view.scrollTop) - SPARE, 0);
    const to = Math.min(this.#rowAt(this.view.scrollTop + this.view.clientHeight) + SPARE, this.rows.length);
    const drawn = [];
    for (let i = from; i < to; i++) {
      drawn.push(this.#drawRow(i));
      if (this.open.has(this.rows[i])) {
        // Made anew each time: a node that is kept could be taken away by another table's drawing.
        drawn.push(this.#drawDetails(i, this.details(this.rows[i])));
      }
    }
    replace(this.space, ...drawn);
  }

  #drawRow(position) {
    const row = this.rows[position];
    const isOpen = this.open.has(row);
    const drawn = element(`div.row${position === this.active ? '.active' : ''}${position % 2 ? '.odd' : ''}`, {
      role: 'row',
      'aria-rowindex': position + 1,
      'aria-expanded': this.details ? String(isOpen) : null,
      onclick: () => {
        if (String(getSelection()) === '') {
          this.active = position;
          this.toggle(position);
        }
      },
    }, ...this.columns.map((column) => this.#drawCell(column, row, isOpen)));
    drawn.style.top = `${this.tops[position]}px`;
    return drawn;
  }

  #drawCell(column, row, isOpen) {
    const shown = column.show(row);
    const cell = element(`div.cell.${column.isText ? 'text' : 'number'}.p${column.priority ?? 1}`, { role: 'gridcell' });
    if (column.isFirst && this.details) {
      cell.append(element('span.twist', { 'aria-hidden': 'true' }, isOpen ? '\u25be' : '\u25b8'));
    }
    cell.append(...(Array.isArray(shown) ? shown : [shown]));
    const share = column.name === this.order.name && column.share ? column.share(row) : 0;
    if (share > 0) {
      const bar = element('span.bar', { 'aria-hidden': 'true' });
      bar.style.width = `${Math.min(100 * share, 100)}%`;
      cell.append(bar);
    }
    return cell;
  }

  #drawDetails(position, lines) {
    const drawn = element('div.details', { role: 'row' },
      element('div.lines', { role: 'gridcell' }, ...lines.map((line) => element(`div.line${line.kind ? `.${line.kind}` : ''}`, {}, ...line.nodes))));
    drawn.style.top = `${this.tops[position] + ROW}px`;
    drawn.style.height = `${lines.length * LINE + PADDING}px`;
    return drawn;
  }

  toggle(position) {
    if (!this.details) {
      return;
    }
    const row = this.rows[position];
    if (!this.open.delete(row)) {
      this.open.set(row, this.details(row).length);
    }
    this.#measure();
    this.draw();
  }

  #show(position) {
    this.active = Math.min(Math.max(position, 0), this.rows.length - 1);
    const top = this.tops[this.active];
    if (top < this.view.scrollTop) {
      this.view.scrollTop = top;
    } else if (top + ROW > this.view.scrollTop + this.view.clientHeight) {
      this.view.scrollTop = top + ROW - this.view.clientHeight;
    }
    this.draw();
  }

  #key(event) {
    const page = Math.max(Math.floor(this.view.clientHeight / ROW) - 1, 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity, j: 1, k: -1 };
    if (event.ctrlKey || event.metaKey || event.altKey || this.rows.length === 0) {
      return;
    }
    if (event.key in moves) {
      this.#show(this.active + moves[event.key]);
    } else if ((event.key === 'Enter' || event.key === ' ') && this.active >= 0) {
      this.toggle(this.active);
    } else if (event.key === 'ArrowRight' && this.active >= 0 && !this.open.has(this.rows[this.active])) {
      this.toggle(this.active);
    } else if (event.key === 'ArrowLeft' && this.active >= 0 && this.open.has(this.rows[this.active])) {
      this.toggle(this.active);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
