// Light or dark: the system's choice until a person makes another.
const NEXT = { auto: 'dark', dark: 'light', light: 'auto' };

export class Theme {
  constructor(changed) {
    this.choice = 'auto';
    this.changed = changed;
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.changed());
  }

  next() {
    this.choice = NEXT[this.choice];
    if (this.choice === 'auto') {
      delete document.documentElement.dataset.theme;
    } else {
      document.documentElement.dataset.theme = this.choice;
    }
    this.changed();
  }
}
