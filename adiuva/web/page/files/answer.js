// What was said, and an answer that is still coming: shown as it comes, and given to the voice sentence by sentence.

import { element } from "./dom.js";
import { blocks } from "./markdown.js";

export function turn(who, kind, ...parts) {
  return element(
    "article",
    { class: `turn ${kind}`, "aria-label": who },
    element("p", { class: "who" }, who),
    ...parts,
  );
}

export class Answer {
  #text = "";
  #heard = 0; // characters that were given to the voice
  #frame = 0;
  #spoken;
  #following;

  constructor(spoken, following) {
    this.body = element("div", { class: "text" });
    this.cards = element("div", { class: "cards" });
    this.foot = element("p", { class: "soft small", hidden: true });
    this.turn = turn("Adiuva", "theirs waiting", this.body, this.cards, this.foot);
    this.turn.setAttribute("aria-busy", "true");
    this.#spoken = spoken;
    this.#following = following;
    spoken.replaceChildren();
  }

  add(text) {
    this.#text += text;
    this.#frame ||= requestAnimationFrame(() => this.#following(() => this.#draw()));
    this.#say(/^[\s\S]*[.!?:\n](?=\s|$)/.exec(this.#text.slice(this.#heard))?.[0]);
  }

  end(whole = this.#text) {
    cancelAnimationFrame(this.#frame);
    this.#text = whole;
    this.#draw();
    this.#say(this.#text.slice(this.#heard));
    this.turn.classList.remove("waiting");
    this.turn.removeAttribute("aria-busy");
  }

  note(text) {
    this.foot.textContent = text;
    this.foot.hidden = false;
  }

  #draw() {
    this.#frame = 0;
    this.body.replaceChildren(...blocks(this.#text));
  }

  #say(text) {
    if (!text) return;
    this.#heard += text.length;
    this.#spoken.append(element("p", {}, text));
  }
}
