// Stacks and locations as lines and cells.
import { element } from './dom.js';

/** The cell of a site: its function, and faintly where it is. */
export function locationNodes(recording, frame) {
  if (frame < 0) {
    return [element('span.function.faint', {}, '[no stack]')];
  }
  const name = recording.name(frame);
  const place = recording.place(frame);
  const module = recording.module(frame);
  return [
    element('span.function', { title: name }, name),
    element('span.place', { title: recording.place(frame, true) ?? module ?? '' }, place ?? (module !== null ? module.slice(module.lastIndexOf('/') + 1) : '')),
  ];
}

/** Lines of a table's details. */
export function stackLines(recording, leaf) {
  const lines = [];
  for (const frame of recording.stack(leaf)) {
    const place = recording.place(frame, true);
    lines.push({
      kind: recording.isRuntime(frame) ? 'runtime' : 'frame',
      nodes: [
        element('span.function', {}, recording.name(frame)),
        recording.isInlined(frame) ? element('span.tag', {}, 'inlined') : '',
        element('span.place', {}, place ?? recording.module(frame) ?? ''),
      ],
    });
    const source = recording.source(frame);
    if (source !== null && !recording.isRuntime(frame)) {
      lines.push({ kind: 'source', nodes: [element('code', {}, source.trim())] });
    }
  }
  if (lines.length === 0) {
    lines.push({ kind: 'note', nodes: ['No stack was recorded for these blocks.'] });
  }
  return lines;
}

export function note(...nodes) {
  return { kind: 'note', nodes };
}
