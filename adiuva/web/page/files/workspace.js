// Tasks, projects, notes and checkpoints to try the agents on: in the memory of this page only, as the app keeps its own.

const KINDS = { task: "tasks", project: "projects", note: "notes", checkpoint: "checkpoints" };

export class Workspace extends EventTarget {
  lists = Object.fromEntries(Object.values(KINDS).map((kind) => [kind, []]));

  // What goes with a request.
  context() {
    return { ...this.lists, now: localTime(new Date()), timezone: Intl.DateTimeFormat().resolvedOptions().timeZone };
  }

  // Whether the action is one that can be applied here.
  knows({ action }) {
    const [verb, noun] = split(action);
    return ["create", "update", "delete"].includes(verb) && noun in KINDS;
  }

  // What the action is about, as its user knows it: a title; undefined where it is not here.
  subject({ action, params }) {
    const [, noun] = split(action);
    const found = this.lists[KINDS[noun]]?.find((item) => item.id === params[`${noun}_id`]);
    return found?.title ?? found?.name;
  }

  // Applies an action; false where its object is not here.
  apply({ id, action, params }) {
    const [verb, noun] = split(action);
    const items = this.lists[KINDS[noun]];
    const own = `${noun}_id`;
    const { [own]: target, ...rest } = params;
    const index = items.findIndex((item) => item.id === target);
    if (verb === "create") items.push({ id, ...params });
    else if (index < 0) return false;
    else if (verb === "update") items[index] = { ...items[index], ...rest };
    else items.splice(index, 1);
    this.dispatchEvent(new Event("change"));
    return true;
  }

  clear() {
    for (const items of Object.values(this.lists)) items.length = 0;
    this.dispatchEvent(new Event("change"));
  }
}

function split(action) {
  const [verb, ...noun] = action.split("_");
  return [verb, noun.join("_")];
}

function localTime(moment) {
  const offset = -moment.getTimezoneOffset();
  const two = (value) => String(Math.trunc(Math.abs(value))).padStart(2, "0");
  const there = new Date(moment.getTime() + offset * 60_000).toISOString().slice(0, 19);
  return `${there}${offset < 0 ? "-" : "+"}${two(offset / 60)}:${two(offset % 60)}`;
}
