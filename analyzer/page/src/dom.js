// Elements are made here and nowhere else. Text from a recording only ever becomes a text node or
// an attribute that is shown (title, aria-label): never markup, never a URL, never a style.

/** element('button.primary', { type: 'button', onclick }, 'Text', child, ...) */
export function element(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split('.');
  const made = document.createElement(tag);
  if (classes.length > 0) {
    made.className = classes.join(' ');
  }
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) {
      continue;
    }
    if (name.startsWith('on')) {
      made.addEventListener(name.slice(2), value);
    } else if (name in made && (name === 'value' || name === 'checked' || name === 'disabled' || name === 'tabIndex')) {
      made[name] = value;
    } else {
      made.setAttribute(name, value === true ? '' : String(value));
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function replace(parent, ...children) {
  parent.replaceChildren(...children.filter((child) => child !== null && child !== undefined && child !== false));
}

/** Calls work in the next frame, once, however often it is asked for. */
export function throttled(work) {
  let waits = false;
  return () => {
    if (!waits) {
      waits = true;
      requestAnimationFrame(() => {
        waits = false;
        work();
      });
    }
  };
}

/** Calls work when nothing more came for a while. */
export function delayed(work, milliseconds) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
}
