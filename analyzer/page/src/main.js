// Puts the page together.
import { decode } from './decode.js';
import { element, replace } from './dom.js';
import { factsView } from './facts.js';
import { cpuView, errorsView, growthView, leaksView, ledgerView } from './findings.js';
import { Flame, forgetColors } from './flame.js';
import * as format from './format.js';
import { helpDialog } from './help.js';
import { Recording } from './recording.js';
import { Selection } from './selection.js';
import { Sites } from './sites.js';
import { Theme } from './theme.js';
import { Timeline } from './timeline.js';

const TABS = [
  ['sites', 'Sites'],
  ['flame', 'Flame graph'],
  ['leaks', 'Leaks'],
  ['growth', 'Growth'],
  ['cpu', 'CPU'],
  ['rss', 'RSS'],
  ['errors', 'Errors'],
];

class Page {
  constructor(recording) {
    this.recording = recording;
    const withSites = recording.processes.find((process) => process.hasSites);
    const first = recording.processes[recording.opensWith];
    this.selection = new Selection(first?.hasSites ? first : withSites ?? recording.processes[0]);
    this.tab = 'sites';
    this.facts = element('div');
    this.timeline = new Timeline(this.selection);
    this.sites = new Sites(recording, this.selection);
    this.flame = new Flame(recording, this.selection);
    this.help = helpDialog();
    this.theme = new Theme(() => this.#recolor());
    this.tabs = element('div.tabs', { role: 'tablist', 'aria-label': 'Views', onkeydown: (event) => this.#tabKey(event) });
    this.panel = element('div.panel', { role: 'tabpanel', id: 'panel', tabindex: '-1' });
    this.selection.subscribe((_, what) => this.#changed(what));
    document.addEventListener('keydown', (event) => this.#key(event));
  }

  show(root) {
    document.title = `${format.visible(this.recording.data.file)} \u2013 memtrack`;
    replace(root, this.#header(), element('main', {}, this.facts, this.timeline.root,
      element('section.card.views', { 'aria-label': 'Views' }, this.tabs, this.panel)), this.#footer(), this.help);
    this.#changed('process');
    this.timeline.rebuild();
  }

  #header() {
    const { processes } = this.recording;
    const chooser = processes.length < 2 ? null : element('label.chooser', {}, 'Process ',
      element('select', { 'aria-label': 'Process', 'data-role': 'process', onchange: (event) => this.selection.setProcess(processes[Number(event.target.value)]) },
        ...processes.map((process, i) => element('option', { value: String(i), selected: process === this.selection.process },
          `${process.title}  ${process.facts.untracked ? 'not tracked' : `peak ${format.bytes(process.totals.peak_bytes)}`}`))));
    return element('header', {},
      element('span.brand', {}, element('span.mark', { 'aria-hidden': 'true' }), 'memtrack'),
      element('span.file', { title: format.visible(this.recording.data.file) }, format.visible(this.recording.data.file)), chooser ?? '',
      element('button.plain', { type: 'button', title: 'Light, dark, or as the system has it (t)', 'aria-label': 'Colours', 'data-role': 'theme', onclick: () => this.theme.next() }, '\u25d0'),
      element('button.plain', { type: 'button', title: 'Keys and terms (?)', 'aria-label': 'Help', 'data-role': 'help', onclick: () => this.help.showModal() }, '?'));
  }

  #footer() {
    const { run, data } = this.recording;
    const command = run.command ? `  \u00b7  ${format.visible(run.command)}` : '';
    return element('footer', {}, `memtrack ${data.memtrack}  \u00b7  ${format.visible(run.kernel ?? '')}${command}`);
  }

  #changed(what) {
    if (what === 'process') {
      replace(this.facts, factsView(this.recording, this.selection.process));
      this.#drawTabs();
    }
    this.#drawPanel(what);
  }

  /** Small numbers beside the names: where there is something to see. */
  #badge(name) {
    const { process } = this.selection;
    const counts = {
      sites: process.siteCount,
      leaks: process.leaks.items.length,
      growth: process.growth.problem === null ? process.growth.counts.leak + process.growth.counts.growing : 0,
      errors: process.errors.length,
    };
    return counts[name] > 0 ? element(`span.badge${name === 'sites' ? '' : '.bad'}`, {}, format.count(counts[name])) : '';
  }

  #drawTabs() {
    replace(this.tabs, ...TABS.map(([name, title]) => element(`button.tab${name === this.tab ? '.chosen' : ''}`, {
      type: 'button', role: 'tab', id: `tab-${name}`, 'aria-selected': String(name === this.tab), 'aria-controls': 'panel',
      tabindex: name === this.tab ? '0' : '-1', onclick: () => this.choose(name),
    }, title, this.#badge(name))));
    this.panel.setAttribute('aria-labelledby', `tab-${this.tab}`);
  }

  choose(name) {
    this.tab = name;
    this.#drawTabs();
    this.#drawPanel('tab');
  }

  #drawPanel(what) {
    const { recording, selection } = this;
    const { process } = selection;
    if (this.tab === 'sites') {
      if (what !== 'time') {
        replace(this.panel, process.hasSites ? this.sites.root : element('p.missing', {}, 'This process allocated nothing that was recorded.'));
      }
      if (process.hasSites) {
        this.sites.refresh();
      }
    } else if (this.tab === 'flame') {
      if (what !== 'time') {
        replace(this.panel, this.flame.root);
      }
      this.flame.refresh();
    } else if (this.tab === 'rss') {
      replace(this.panel, ledgerView(recording, process, selection));
    } else if (what !== 'time') {
      const views = { leaks: leaksView, growth: growthView, cpu: cpuView, errors: errorsView };
      replace(this.panel, views[this.tab](recording, process));
    }
  }

  #recolor() {
    forgetColors();
    this.timeline.rebuild();
    this.flame.isStale = true;
    this.#drawPanel('time');
  }

  #tabKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step !== undefined) {
      const at = TABS.findIndex(([name]) => name === this.tab);
      this.choose(TABS[(at + step + TABS.length) % TABS.length][0]);
      document.getElementById(`tab-${this.tab}`).focus();
      event.preventDefault();
    }
  }

  #key(event) {
    const isTyping = ['INPUT', 'SELECT', 'TEXTAREA'].includes(event.target.tagName);
    if (event.key === 'Escape' && event.target.tagName === 'INPUT') {
      event.target.blur();
    }
    if (isTyping || this.help.open || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const tab = /^[1-7]$/.test(event.key) ? TABS[Number(event.key) - 1][0] : null;
    if (tab !== null) {
      this.choose(tab);
    } else if (event.key === '/') {
      if (!['sites', 'flame'].includes(this.tab)) {
        this.choose('sites');
      }
      this.panel.querySelector('[data-focus]')?.focus();
    } else if (event.key === '0') {
      this.selection.wholeRun();
    } else if (event.key === '[' || event.key === ']') {
      this.selection.step(event.key === '[' ? -1 : 1);
    } else if (event.key === 't') {
      this.theme.next();
    } else if (event.key === '?') {
      this.help.showModal();
    } else {
      return;
    }
    event.preventDefault();
  }
}

async function start() {
  const root = document.getElementById('page');
  const holder = document.getElementById('data');
  try {
    const recording = new Recording(await decode(holder.textContent));
    holder.remove();
    const page = new Page(recording);
    page.show(root);
    document.documentElement.dataset.ready = String(Math.round(performance.now()));
  } catch (error) {
    replace(root, element('p.missing', { role: 'alert' }, typeof DecompressionStream === 'undefined'
      ? 'This browser is too old for this report: Firefox 113, Chrome 80, Safari 16.4 or later can show it.'
      : `The report cannot be shown, the file may be damaged: ${error.message}. Write it again with memtrack report --html.`));
    throw error;
  }
}

start();
