// Makes and finds elements. Styles are set by classes alone, so that the page's Content-Security-Policy needs no exception.

const SVG = "http://www.w3.org/2000/svg";

/** Returns the element of an id. */
export const byId = (id) => document.getElementById(id);

/** Makes an HTML element. An attribute that is false, null or undefined is left out, `on…` is a listener. */
export const html = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** Makes an SVG element, as `html` does. */
export const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Makes a button with a text. */
export const button = (text, onclick, attributes) => html("button", { type: "button", onclick, ...attributes }, text);

/** Shows or hides an element. */
export function show(element, visible) {
  element.hidden = !visible;
}

/** Says a sentence to screen readers, without moving the focus. */
export function announce(text) {
  byId("announcement").textContent = text;
}
