// Shows openapi.json and tries its calls. All text goes into the page as text, never as HTML.

const DOCUMENT = "/api/v1/openapi.json";
const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const pretty = (value) => JSON.stringify(value, null, 2);

function resolved(spec, thing) {
  if (!thing?.$ref) return thing;
  return thing.$ref.slice(2).split("/").reduce((node, key) => node[key], spec);
}

function nameOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(nameOf).join(" | ");
  if (schema.allOf) return schema.allOf.map(nameOf).filter((name) => name !== "object").join(" & ");
  const type = [schema.type ?? "any"].flat().join(" | ");
  return schema.type === "array" ? `list of ${nameOf(schema.items)}` : schema.format ?? type;
}

function table(headings, rows) {
  const head = element("tr", {}, ...headings.map((text) => element("th", { scope: "col" }, text)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

function bodyOf(spec, holder) {
  const [media, content] = Object.entries(holder?.content ?? {})[0] ?? [];
  if (!media) return null;
  const example = content.example ?? Object.values(content.examples ?? {})[0]?.value;
  const schema = resolved(spec, content.schema);
  return { media, example, schema, kind: nameOf(content.schema) };
}

function schemaBlock(spec, found) {
  const parts = [];
  if (found.example !== undefined) parts.push(element("pre", { tabindex: 0 }, pretty(found.example)));
  if (found.schema?.properties) {
    const inner = element("details", {}, element("summary", {}, `Schema ${found.kind}`));
    inner.append(element("div", {}, element("pre", { tabindex: 0 }, pretty(found.schema))));
    parts.push(inner);
  }
  return parts;
}

function answers(spec, operation) {
  const rows = Object.entries(operation.responses).map(([status, reference]) => {
    const answer = resolved(spec, reference);
    const found = bodyOf(spec, answer);
    const codes = Object.keys(Object.values(answer.content ?? {})[0]?.examples ?? {});
    const what = found?.media === "application/problem+json" ? codes.join(", ") : found?.kind ?? "";
    return [status, element("code", {}, what), answer.description];
  });
  const parts = [element("h4", {}, "Answers"), table(["Status", "Body or codes", "Meaning"], rows)];
  for (const [status, reference] of Object.entries(operation.responses)) {
    const found = bodyOf(spec, resolved(spec, reference));
    if (Number(status) < 400 && found) parts.push(element("h4", {}, status), ...schemaBlock(spec, found));
  }
  return parts;
}

function parameterTable(operation) {
  if (!operation.parameters) return [];
  const rows = operation.parameters.map((each) => [
    element("code", {}, each.name),
    each.in + (each.required ? ", required" : ""),
    nameOf(each.schema),
    each.description ?? each.schema.description ?? "",
  ]);
  return [element("h4", {}, "Parameters"), table(["Name", "Where", "Type", "Meaning"], rows)];
}

async function checksum(bytes) {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function send(path, method, operation, fields, bodyField) {
  const query = new URLSearchParams();
  const headers = new Headers();
  let target = path;
  for (const [parameter, input] of fields) {
    if (input.value === "") continue;
    if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (parameter.in === "query") query.append(parameter.name, input.value);
    else headers.set(parameter.name, input.value);
  }
  const token = byId("token").value.trim();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  let body;
  if (bodyField && bodyField.value !== "") {
    const media = Object.keys(operation.requestBody.content)[0];
    headers.set("Content-Type", media);
    body = new TextEncoder().encode(bodyField.value);
    for (const [parameter, input] of fields) {
      if (/checksum$/i.test(parameter.name) && input.value === "") headers.set(parameter.name, await checksum(body));
    }
  }
  const search = query.size ? `?${query}` : "";
  return fetch(target + search, { method: method.toUpperCase(), headers, body, cache: "no-store" });
}

function shown(text, type) {
  if (!/json/.test(type)) return text;
  try {
    return pretty(JSON.parse(text));
  } catch {
    return text;
  }
}

function trial(spec, path, method, operation) {
  if (operation.responses["101"]) return [element("p", { class: "soft" }, "A WebSocket: it cannot be tried here.")];
  const prefix = operation.operationId;
  const form = element("form", { autocomplete: "off" });
  const fields = (operation.parameters ?? []).map((parameter) => {
    const id = `${prefix}-${parameter.in}-${parameter.name}`;
    const hint = /checksum$/i.test(parameter.name) ? "computed where empty" : parameter.schema.default ?? "";
    const input = element("input", { id, value: parameter.example, placeholder: String(hint), spellcheck: "false" });
    form.append(element("label", { for: id }, parameter.name), input);
    return [parameter, input];
  });
  let bodyField = null;
  if (operation.requestBody) {
    const found = bodyOf(spec, operation.requestBody);
    bodyField = element("textarea", { id: `${prefix}-body`, spellcheck: "false" });
    bodyField.value = found.example === undefined ? "test" : pretty(found.example);
    form.append(element("label", { for: `${prefix}-body` }, found.media), bodyField);
  }
  const button = element("button", { type: "submit" }, "Send");
  const output = element("div", { role: "status" });
  form.append(element("span"), button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    output.replaceChildren();
    try {
      const started = performance.now();
      const response = await send(path, method, operation, fields, bodyField);
      const text = shown(await response.text(), response.headers.get("Content-Type") ?? "");
      const line = `${response.status} ${response.statusText}, ${Math.round(performance.now() - started)} ms`;
      const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      output.append(
        element("p", { class: response.ok ? "good" : "bad" }, line),
        element("pre", { tabindex: 0 }, headers),
        element("pre", { tabindex: 0 }, text),
      );
    } catch (error) {
      output.append(element("p", { class: "bad" }, `No answer: ${error.message}`));
    } finally {
      button.disabled = false;
    }
  });
  return [element("h4", {}, "Try it"), form, output];
}

function call(spec, path, method, operation) {
  const closed = operation.security?.length ? "needs a token" : "public";
  const box = element("details", { id: operation.operationId, "data-words": `${method} ${path} ${operation.summary}` });
  box.append(
    element(
      "summary",
      {},
      element("span", { class: "method" }, method.toUpperCase()),
      element("span", { class: "path" }, path),
      element("span", { class: "soft" }, operation.summary),
      element("span", { class: "soft lock" }, closed),
    ),
  );
  box.addEventListener("toggle", () => {
    if (!box.open || box.children.length > 1) return; // its inside is made when it is first opened
    const body = bodyOf(spec, operation.requestBody);
    const inside = element("div", {}, ...parameterTable(operation));
    if (body) inside.append(element("h4", {}, `Body: ${body.kind} (${body.media})`), ...schemaBlock(spec, body));
    inside.append(...answers(spec, operation), ...trial(spec, path, method, operation));
    box.append(inside);
  });
  return box;
}

function show(spec) {
  byId("version").textContent = spec.info.version;
  byId("about").textContent = spec.info.description;
  const sections = new Map(spec.tags.map((tag) => [tag.name, element("section", { id: `tag-${tag.name}` })]));
  for (const tag of spec.tags) {
    sections.get(tag.name).append(element("h2", {}, tag.name), element("p", { class: "soft" }, tag.description));
    byId("tags").append(element("li", {}, element("a", { href: `#tag-${tag.name}` }, tag.name)));
  }
  for (const [path, operations] of Object.entries(spec.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      sections.get(operation.tags[0]).append(call(spec, path, method, operation));
    }
  }
  byId("calls").replaceChildren(...sections.values());
  const linked = byId(decodeURIComponent(location.hash.slice(1)));
  if (linked?.matches("details")) linked.open = true;
  linked?.scrollIntoView();
  byId("filter").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const box of document.querySelectorAll("details[data-words]")) {
      const text = box.dataset.words.toLowerCase();
      box.hidden = !words.every((word) => text.includes(word));
    }
    for (const section of sections.values()) section.hidden = !section.querySelector("details[data-words]:not([hidden])");
  });
  byId("access").addEventListener("submit", (event) => event.preventDefault());
}

try {
  const response = await fetch(DOCUMENT);
  if (!response.ok) throw new Error(`${response.status}`);
  show(await response.json());
} catch (error) {
  byId("state").textContent = `The document cannot be read: ${error.message}`;
}
