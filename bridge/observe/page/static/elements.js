// Elements are made here and nowhere else, and texts only ever become text nodes: what is shown was written by strangers.

const SVG = "http://www.w3.org/2000/svg";

// Control characters, and those that turn the direction of what follows or cannot be seen: shown by their number instead.
// Variation selectors stay: signs such as the one for a warning have one.
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]|(?!\p{Variation_Selector})\p{Default_Ignorable_Code_Point}/gu;

export function visible(text) {
  return String(text).replace(HIDDEN, (char) => {
    const number = char.codePointAt(0).toString(16);
    return number.length > 4 ? `\\u{${number}}` : `\\u${number.padStart(4, "0")}`;
  });
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

// A stranger's text, apart from the direction of what stands around it.
export function foreign(text, attributes = {}) {
  return make("bdi", attributes, visible(text));
}

export function targetLink(name) {
  return make("a", { href: `target?name=${encodeURIComponent(name)}` }, foreign(name));
}

// A target's name, which leads to its page unless it was cut.
export function targetName({ name, linked }) {
  return linked ? targetLink(name) : foreign(name);
}

// Heads of a table's columns; those of numbers begin with #.
export function heads(...names) {
  return make("thead", {}, make("tr", {}, ...names.map((name) => (
    make("th", name.startsWith("#") ? { scope: "col", class: "number" } : { scope: "col" }, name.replace("#", ""))))));
}

export function by(id) {
  return document.getElementById(id);
}

export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Makes a list's items once for each key and changes them in place, so that focus, and what somebody has opened, stay.
export function keyed(list, documents, keyOf, build) {
  const there = new Map([...list.children].map((item) => [item.key, item]));
  documents.forEach((document, place) => {
    const key = keyOf(document);
    let item = there.get(key);
    there.delete(key);
    if (!item) {
      item = make("li");
      item.key = key;
      item.update = build(item);
    }
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
    const text = JSON.stringify(document);
    if (item.text !== text) {
      item.text = text;
      item.update(document);
    }
  });
  for (const item of there.values()) item.remove();
}
