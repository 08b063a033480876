// A little of Markdown, made as elements: paragraphs, lists, headings, fenced and inline code, bold, emphasis.
// Everything else, HTML and links among it, stays the text that it is.

import { element } from "./dom.js";

const INLINE = /(`[^`\n]+`|\*\*[^*\n]+\*\*|\*[^*\s][^*\n]*\*)/;
const ITEM = /^\s*(?:[-*•]|(\d{1,3})[.)])\s+(.*)$/;
const HEADING = /^#{1,6}\s+(.*)$/;

export function inline(text) {
  return text
    .split(INLINE)
    .filter(Boolean)
    .map((part) => {
      if (part.length > 2 && part.startsWith("`") && part.endsWith("`")) return element("code", {}, part.slice(1, -1));
      if (part.length > 4 && part.startsWith("**") && part.endsWith("**"))
        return element("strong", {}, part.slice(2, -2));
      if (part.length > 2 && INLINE.test(part) && part.startsWith("*") && part.endsWith("*"))
        return element("em", {}, part.slice(1, -1));
      return part;
    });
}

export function blocks(text) {
  const made = [];
  let list = null;
  let lines = [];
  const close = () => {
    if (lines.length) made.push(element("p", {}, ...inline(lines.join("\n"))));
    lines = [];
    list = null;
  };
  const all = text.split("\n");
  for (let index = 0; index < all.length; index += 1) {
    const line = all[index];
    const item = ITEM.exec(line);
    const head = HEADING.exec(line);
    if (line.startsWith("```")) {
      close();
      const end = all.findIndex((other, at) => at > index && other.startsWith("```"));
      const last = end < 0 ? all.length : end;
      made.push(element("pre", { tabindex: 0 }, element("code", {}, all.slice(index + 1, last).join("\n"))));
      index = last;
    } else if (item) {
      const name = item[1] ? "ol" : "ul";
      if (list?.localName !== name) {
        close();
        list = element(name, { start: item[1] && item[1] !== "1" ? item[1] : undefined });
        made.push(list);
      }
      list.append(element("li", {}, ...inline(item[2])));
    } else if (head) {
      close();
      made.push(element("p", { class: "head" }, ...inline(head[1])));
    } else if (!line.trim()) close();
    else {
      if (list) close();
      lines.push(line);
    }
  }
  close();
  return made;
}
