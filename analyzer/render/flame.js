"use strict";
(function () {
  const svg = document.documentElement.localName === "svg" ? document.documentElement
                                                           : document.querySelector("svg");
  const margin = 10;
  const letter = 7.25; // width of a character; set from a measured one below
  const frames = Array.from(svg.querySelectorAll(".f"), (group, index) => ({
    group, index,
    x: +group.dataset.x, width: +group.dataset.w, depth: +group.dataset.d,
    rect: group.querySelector("rect"), text: group.querySelector("text"),
    name: group.dataset.n, details: group.querySelector("title").textContent,
    parent: -1,
  }));
  const details = svg.getElementById("details");
  const matched = svg.getElementById("matched");
  const reset = svg.getElementById("reset");
  const input = svg.querySelector("input");
  let zoomed = 0;
  let letterWidth = letter;

  // Frames come parents first: the last one seen at the depth above is the parent.
  const last = [];
  for (const frame of frames) {
    frame.parent = frame.depth > 0 ? last[frame.depth - 1] : -1;
    last[frame.depth] = frame.index;
  }

  function shorten(name, width) {
    const room = Math.floor((width - 6) / letterWidth);
    if (room < 3) return "";
    const letters = Array.from(name);
    return letters.length <= room ? name : letters.slice(0, room - 2).join("") + "..";
  }

  function isAncestor(index, of) {
    for (let at = frames[of].parent; at >= 0; at = frames[at].parent) {
      if (at === index) return true;
    }
    return false;
  }

  function draw() {
    const total = Math.max(svg.getBoundingClientRect().width || 1200, 300) - 2 * margin;
    const focus = frames[zoomed];
    const scale = total / focus.width;
    const end = focus.x + focus.width;
    for (const frame of frames) {
      const above = frame.depth < focus.depth && isAncestor(frame.index, zoomed);
      const inside = frame.depth >= focus.depth && frame.x >= focus.x - 1e-9
                     && frame.x + frame.width <= end + 1e-9;
      const width = above ? total : frame.width * scale;
      const visible = above || (inside && width >= 0.2);
      frame.group.classList.toggle("gone", !visible);
      frame.group.classList.toggle("above", above);
      if (!visible) continue;
      const x = margin + (above ? 0 : (frame.x - focus.x) * scale);
      frame.rect.setAttribute("x", x.toFixed(2));
      frame.rect.setAttribute("width", (width > 3 ? width - 0.6 : width).toFixed(2)); // a gap
      frame.text.setAttribute("x", (x + 3).toFixed(2));
      frame.text.textContent = shorten(frame.name, width);
    }
    reset.classList.toggle("gone", zoomed === 0);
  }

  function zoom(index) {
    zoomed = index;
    draw();
    remember();
  }

  function search(pattern) {
    let expression = null;
    if (pattern !== "") {
      try {
        expression = new RegExp(pattern, "i");
      } catch (error) {
        matched.textContent = "not a regular expression";
        return;
      }
    }
    // A matching frame below a matching one is counted already.
    let sum = 0, counted = 0, count = 0;
    for (const frame of frames) {
      const fits = expression !== null && expression.test(frame.name);
      frame.group.classList.toggle("match", fits);
      if (!fits) continue;
      count++;
      if (frame.x + 1e-12 >= counted) {
        sum += frame.width;
        counted = frame.x + frame.width - 1e-12;
      }
    }
    matched.textContent = expression === null ? ""
      : "matched " + (100 * sum / frames[0].width).toFixed(1) + " % in " + count + " frames";
    remember();
  }

  function remember() {
    const parts = [];
    if (zoomed > 0) parts.push("z=" + zoomed);
    if (input.value !== "") parts.push("s=" + encodeURIComponent(input.value));
    try {
      history.replaceState(null, "", "#" + parts.join("&"));
    } catch (error) { /* not allowed where the picture is embedded: nothing is lost */ }
  }

  function recall() {
    for (const part of location.hash.slice(1).split("&")) {
      const value = part.slice(2);
      if (part.startsWith("z=") && frames[+value]) zoomed = +value;
      if (part.startsWith("s=")) {
        try { input.value = decodeURIComponent(value); } catch (error) { input.value = ""; }
      }
    }
  }

  function focusOn(index) {
    if (index === undefined || index < 0 || frames[index].group.classList.contains("gone")) return;
    for (const frame of frames) frame.group.setAttribute("tabindex", "-1");
    frames[index].group.setAttribute("tabindex", "0");
    frames[index].group.focus();
  }

  // Neighbours on the same row, the parent, and the widest child.
  function neighbour(index, key) {
    const frame = frames[index];
    const visible = (other) => !other.group.classList.contains("gone");
    const outwards = svg.dataset.icicle === "1" ? "ArrowUp" : "ArrowDown";
    if (key === outwards) return frame.parent;
    if (key === "ArrowUp" || key === "ArrowDown") {
      let best;
      for (const other of frames) {
        if (other.parent === index && visible(other)
            && (best === undefined || other.width > frames[best].width)) best = other.index;
      }
      return best;
    }
    const row = frames.filter((other) => other.depth === frame.depth && visible(other));
    const place = row.indexOf(frame) + (key === "ArrowRight" ? 1 : -1);
    return row[place] && row[place].index;
  }

  function frameOf(target) {
    const group = target.closest ? target.closest(".f") : null;
    return group ? frames.findIndex((frame) => frame.group === group) : -1;
  }

  svg.addEventListener("click", (event) => {
    const index = frameOf(event.target);
    if (index >= 0) zoom(index);
    else if (event.target.closest("#reset")) zoom(0);
  });
  const tell = (event) => {
    const index = frameOf(event.target);
    details.textContent = index >= 0 ? frames[index].details.replace(/\n/g, "   ") : "";
  };
  svg.addEventListener("mouseover", tell);
  svg.addEventListener("focusin", tell);
  svg.addEventListener("keydown", (event) => {
    if (event.target === input) {
      if (event.key === "Escape") { input.value = ""; search(""); focusOn(zoomed); }
      return;
    }
    const index = frameOf(event.target);
    if (event.key === "/" || (event.ctrlKey && event.key === "f")) input.focus();
    else if (event.key === "Escape") { zoom(0); focusOn(Math.max(index, 0)); }
    else if (event.key === "Enter" || event.key === " ") {
      if (index >= 0) { zoom(index); focusOn(index); }
      else if (event.target.id === "reset") zoom(0);
      else return;
    } else if (event.key.startsWith("Arrow") && index >= 0) focusOn(neighbour(index, event.key));
    else return;
    event.preventDefault();
  });
  input.addEventListener("input", () => search(input.value));
  window.addEventListener("resize", draw);

  svg.setAttribute("width", "100%");
  svg.removeAttribute("viewBox");
  const sample = svg.querySelector(".title");
  if (sample && sample.getComputedTextLength) {
    // The title is 17 px high, names are 12.
    letterWidth = sample.getComputedTextLength() / Math.max(sample.textContent.length, 1) * 12 / 17
                  || letter;
  }
  recall();
  draw();
  // Flames grow upwards: begin where they do.
  if (svg.dataset.icicle !== "1") window.scrollTo(0, svg.getBoundingClientRect().height);
  search(input.value);
})();
