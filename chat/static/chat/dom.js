// Small helpers. Text only ever becomes text: nothing here parses HTML.

export const one = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

export function clone(templateId) {
  return document.getElementById(templateId).content.firstElementChild.cloneNode(true);
}

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.classList.add("icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

let clearing = 0;

/** Say something once to who does not see the page. */
export function announce(words) {
  const announcer = document.getElementById("announcer");
  announcer.textContent = words;
  clearTimeout(clearing);
  clearing = setTimeout(() => (announcer.textContent = ""), 5000);
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
