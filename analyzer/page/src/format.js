// Numbers as people read them; the same forms as the text report's.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const MINUS = '\u2212';

export function bytes(value) {
  if (value === null || value === undefined) {
    return '\u2013';
  }
  let size = Math.abs(value);
  let unit = 0;
  while (size >= 1023.95 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  const digits = unit === 0 || size >= 99.95 ? 0 : 1;
  return `${value < 0 ? MINUS : ''}${size.toFixed(unit > 0 && size < 9.995 ? 2 : digits)} ${UNITS[unit]}`;
}

export function count(value) {
  if (value === null || value === undefined) {
    return '\u2013';
  }
  return `${value < 0 ? MINUS : ''}${Math.abs(Math.round(value)).toLocaleString('en-US')}`;
}

function signed(format) {
  return (value) => (value > 0 ? `+${format(value)}` : format(value));
}
export const deltaBytes = signed(bytes);
export const deltaCount = signed(count);

export function percent(part, whole) {
  if (!whole) {
    return '';
  }
  const value = (100 * part) / whole;
  const size = Math.abs(value);
  if (size > 0 && size < 0.1) {
    return '<0.1 %';
  }
  return `${value < 0 ? MINUS : ''}${size.toFixed(1)} %`;
}

export function seconds(value) {
  if (value === null || value === undefined) {
    return '\u2013';
  }
  const size = Math.abs(value);
  if (size === 0) {
    return '0 s';
  }
  if (size < 0.001) {
    return `${(value * 1e6).toFixed(0)} \u00b5s`;
  }
  if (size < 1) {
    return `${(value * 1e3).toFixed(size < 0.1 ? 1 : 0)} ms`;
  }
  if (size < 120) {
    return `${value.toFixed(size < 10 ? 2 : 1)} s`;
  }
  if (size < 7200) {
    return `${Math.floor(value / 60)} min ${String(Math.floor(value % 60)).padStart(2, '0')} s`;
  }
  if (size < 172800) {
    return `${Math.floor(value / 3600)} h ${String(Math.floor((value % 3600) / 60)).padStart(2, '0')} min`;
  }
  return `${Math.floor(value / 86400)} d ${Math.floor((value % 86400) / 3600)} h`;
}

export function rate(value) {
  return value === null ? '\u2013' : `${bytes(value)}/s`;
}

export function fileName(path) {
  return path.slice(path.lastIndexOf('/') + 1);
}

// What could hide or reorder text on a screen is shown as its number.
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
export function visible(text) {
  return text.replace(INVISIBLE, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** An argument of a command line as one would type it: what is empty or has blanks is quoted. */
export function argument(text) {
  const shown = visible(text);
  return shown === '' || /[\s'"]/.test(shown) ? `'${shown.replaceAll("'", "'\\''")}'` : shown;
}
