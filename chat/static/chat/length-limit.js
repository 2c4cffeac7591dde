// The longest message, told before sending: a counter near the limit, and nothing is cut.

import { announce, one } from "./dom.js";
import { text } from "./texts.js";

const NEAR = 0.9;

export class LengthLimit {
  #said = "";

  /** `counter` is the element that says how much is left in `area`. */
  constructor(area, counter) {
    this.area = area;
    this.counter = counter;
    this.most = Number(one("[data-max-chars]")?.dataset.maxChars) || Infinity;
    area.addEventListener("input", () => this.update());
    this.update();
  }

  /** How many characters are left, counted as the server counts them; less than nothing where it is too long. */
  get left() {
    const { value } = this.area;
    // Counting code points reads the whole text, so a text that is far from the limit is not counted.
    return this.most - (value.length < this.most * NEAR ? value.length : [...value].length);
  }

  update() {
    const { left, most } = this;
    const over = left < 0;
    const near = left <= most * (1 - NEAR);
    this.counter.hidden = !near;
    this.counter.classList.toggle("over", over);
    this.area.setAttribute("aria-invalid", String(over));
    if (near) this.counter.textContent = this.#words(left);
    // Each state is announced once, not each character.
    const state = over ? "over" : near ? "near" : "";
    if (state && state !== this.#said) announce(this.counter.textContent);
    this.#said = state;
  }

  /** Tell whether the text may be sent; where it may not, say why. */
  allows() {
    this.update();
    if (this.left >= 0) return true;
    announce(this.counter.textContent);
    this.area.focus();
    return false;
  }

  #words(left) {
    const number = (value) => value.toLocaleString(document.documentElement.lang);
    if (left >= 0) return text("charactersLeft", { count: number(left) });
    return text("charactersOver", { count: number(-left), most: number(this.most) });
  }
}
