// What people type into a search field: words, or a regular expression between slashes.

/** A function that tells whether a text matches; undefined for an expression that is none. */
export function matcher(pattern) {
  const expression = /^\/(.+?)\/?$/.exec(pattern);
  if (expression !== null) {
    try {
      const compiled = new RegExp(expression[1], 'i');
      return (text) => compiled.test(text);
    } catch {
      return undefined;
    }
  }
  const words = pattern.toLowerCase().split(/\s+/).filter((word) => word !== '');
  return (text) => {
    const lower = text.toLowerCase();
    return words.every((word) => lower.includes(word));
  };
}
