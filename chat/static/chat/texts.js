// What came with the page: its words, in its language, and the addresses it needs.

const element = document.getElementById("page-data");

export const data = element ? JSON.parse(element.textContent) : { texts: {}, urls: {} };

export function text(name, values = {}) {
  return (data.texts[name] ?? name).replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}
