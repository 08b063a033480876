// Makes elements and says numbers. All text goes in as text: nothing here, or in this page, makes HTML of a string.

export const byId = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null && value !== false)
      made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

let numbers = 0;
export const newId = (prefix) => `${prefix}-${++numbers}`;

// A label and its control, with what is wrong with it below; `complain("")` takes the complaint away.
export function field(label, control, { hint } = {}) {
  control.id ||= newId("field");
  const fault = element("p", { class: "fault", id: `${control.id}-fault`, hidden: true });
  const about = hint ? element("p", { class: "hint", id: `${control.id}-hint` }, hint) : null;
  const described = [about?.id, fault.id].filter(Boolean).join(" ");
  control.setAttribute("aria-describedby", described);
  const box = element("div", { class: "field" }, element("label", { for: control.id }, label), control, about, fault);
  const complain = (text) => {
    fault.textContent = text;
    fault.hidden = !text;
    if (text) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  };
  return { box, control, complain };
}

export function announce(text) {
  byId("announcer").replaceChildren(element("p", {}, text));
}

// Where something has gone wrong: read out at once.
export function alertBox(text, ...more) {
  return element("div", { class: "alert", role: "alert" }, element("p", {}, text), ...more);
}

export function definitions(pairs, attributes = {}) {
  const rows = pairs.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value)));
  return element("dl", attributes, ...rows);
}

export const badge = (text, kind = "plain") => element("span", { class: `badge ${kind}` }, text);

// Runs the handler of a button or form with that control switched off meanwhile.
export async function busy(control, work) {
  control.disabled = true;
  try {
    return await work();
  } finally {
    control.disabled = false;
  }
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];
export function bytes(count) {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toLocaleString("en", { maximumFractionDigits: unit && value < 10 ? 1 : 0 })} ${UNITS[unit]}`;
}

export const number = (value) => value.toLocaleString("en");

export function money(cents, currency) {
  if (!cents) return "free";
  return (cents / 100).toLocaleString("en", { style: "currency", currency: currency.toUpperCase() });
}

export function moment(text) {
  const shown = new Date(text).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  return element("time", { datetime: text }, shown);
}

export function since(text) {
  const minutes = Math.max(0, Math.round((Date.now() - new Date(text)) / 60000));
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

export const words = (name) => name.replaceAll(/[_-]+/g, " ");
export const title = (name) => words(name).replace(/^./, (letter) => letter.toUpperCase());
