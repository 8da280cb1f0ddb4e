// The keys, and the dialog that lists them.
import { element } from './dom.js';

const KEYS = [
  ['1 \u2026 7', 'Sites, Flame graph, Leaks, Growth, CPU, RSS, Errors'],
  ['/', 'Filter sites, or search the flame graph'],
  ['0', 'Whole run'],
  ['[  and  ]', 'The snapshot before, the next one'],
  ['\u2191 \u2193', 'In a table: another row; in the flame graph: to callers and callees'],
  ['\u2190 \u2192', 'In a table: close and open a row; in the flame graph: its neighbours'],
  ['Enter', 'Open a row; zoom into a frame'],
  ['Esc', 'Zoom out; leave a field'],
  ['t', 'Light, dark, or as the system has it'],
  ['?', 'This help'],
];

export function helpDialog() {
  const dialog = element('dialog', { 'aria-label': 'Keys and terms' },
    element('h2', {}, 'Keys'),
    element('dl.keys', {}, ...KEYS.flatMap(([key, meaning]) => [element('dt', {}, element('kbd', {}, key)), element('dd', {}, meaning)])),
    element('h2', {}, 'Terms'),
    element('p', {}, 'A site is one call stack that allocated. Live is what was allocated and not freed. Temporary allocations were freed before their thread allocated again. At peak is a site\u2019s share when the process\u2019s live memory was largest.'),
    element('p', {}, 'Click into the timeline to see the heap at that moment, drag to see what changed in between: red grew, blue shrank.'),
    element('button.plain', { type: 'button', onclick: () => dialog.close() }, 'Close'));
  return dialog;
}
