// What runs here, for everyone; more for those who are signed in, and where things are for admins.

import { session } from "./api.js";
import { badge, byId, definitions, element, since } from "./dom.js";
import { form } from "./signin.js";

export const heading = "This server";

const KINDS = {
  database: ["Database", { embedded: "PostgreSQL, embedded", postgresql: "PostgreSQL, your own" }],
  blobs: ["Records and backups", { files: "files on this machine", s3: "S3" }],
  vectors: ["Vectors", { embedded: "files on this machine", qdrant: "Qdrant", pinecone: "Pinecone" }],
  model: [
    "Language model",
    { offline: "offline stand-in, no real model", configured: "configured", none: "none: chat cannot answer" },
  ],
  payments: ["Payments", { stub: "off: no money moves", stripe: "Stripe" }],
  limits: ["Rate limits", { process: "counted in this process", redis: "counted in Redis" }],
};
const CHECKS = { database: "Database", blobs: "Records and backups", vectors: "Vectors", agents: "Agents" };

export async function show(content, signal) {
  const [about, ready] = await Promise.all([session.send("GET", "/about"), session.send("GET", "/health/ready")]);
  const status = session.me && (await session.call("GET", "/status"));
  const models = session.me && (await session.call("GET", "/models"));
  if (signal.aborted) return;
  byId("foot").textContent = `Adiuva ${about.version}`;
  const [first, second, third] = [health(about, ready, status), resources(about, status, models), documents(about)];
  if (!session.me) {
    content.append(
      element("div", { class: "columns" }, element("div", { class: "stack" }, first, second, third), signIn()),
    );
    return;
  }
  const more = status.admin ? packages(status.admin) : null;
  content.append(
    element(
      "div",
      { class: "halves" },
      element("div", { class: "stack" }, first, third),
      element("div", { class: "stack" }, second, more),
    ),
  );
}

function signIn() {
  return element("section", { "aria-labelledby": "signin" }, element("h2", { id: "signin" }, "Sign in"), form("#/"));
}

function health(about, ready, status) {
  const well = ready.status === "ok";
  const checks = Object.entries(ready.checks).map(([name, text]) =>
    element(
      "li",
      { class: "check" },
      element("span", {}, CHECKS[name] ?? name),
      badge(text === "ok" ? "ready" : text, text === "ok" ? "good" : "bad"),
    ),
  );
  const facts = [
    ["Version", about.version],
    ["Environment", about.env === "prod" ? "production" : "development"],
  ];
  if (status) facts.push(["Running for", since(status.started_at)]);
  return card(
    "Health",
    element(
      "p",
      { class: "lead" },
      element("span", { class: `dot ${well ? "good" : "bad"}`, "aria-hidden": "true" }),
      well ? "Everything is ready." : "Something is not ready.",
    ),
    definitions(facts, { class: "facts" }),
    element("ul", { class: "plain" }, ...checks),
  );
}

function resources(about, status, models) {
  const places = status?.admin?.places ?? {};
  const chosen = models?.items.find((model) => model.default)?.id;
  const rows = Object.entries(about.resources).map(([name, kind]) => {
    const [label, kinds] = KINDS[name] ?? [name, {}];
    const text = name === "model" && chosen ? chosen : (kinds[kind] ?? kind);
    return [label, [text, places[name] ? element("span", { class: "place" }, places[name]) : null].filter(Boolean)];
  });
  const hint =
    about.resources.model === "offline"
      ? element(
          "p",
          { class: "note" },
          "The stand-in reads the tools' schemas and fills them from your words. Set LLM_MODEL for a real model.",
        )
      : "";
  return card("What it runs on", definitionsOf(rows), hint);
}

function definitionsOf(rows) {
  return element(
    "dl",
    { class: "rows" },
    ...rows.map(([term, values]) => element("div", {}, element("dt", {}, term), element("dd", {}, ...values))),
  );
}

function documents(about) {
  const links = [
    about.docs && ["/docs", "API: read and try the calls"],
    ["/api/v1/openapi.json", "OpenAPI document"],
    ["/api/v1/health/ready", "Health, as monitors read it"],
  ].filter(Boolean);
  return card(
    "For developers",
    element("ul", { class: "links" }, ...links.map(([href, text]) => element("li", {}, element("a", { href }, text)))),
  );
}

function packages(admin) {
  const rows = admin.packages.map((each) => [
    each.name,
    [`${each.version} `, element("span", { class: "place" }, each.agents.join(", ") || "no agents")],
  ]);
  const parts = [definitionsOf(rows.length ? rows : [["None", ["No package with agents is installed."]]])];
  if (admin.left_out.length) {
    const names = admin.left_out.map((each) => `${each.name} ${each.version}`).join(", ");
    parts.push(
      element("p", { class: "note bad" }, `Could not be loaded: ${names}. The command adiuva plugins says why.`),
    );
  }
  if (admin.blocked.length)
    parts.push(element("p", { class: "note" }, `Kept out by BLOCKED_PLUGINS: ${admin.blocked.join(", ")}.`));
  parts.push(
    element("p", { class: "soft small" }, `Python ${admin.python}. You see this, and where things are, as an admin.`),
  );
  return card("Packages", ...parts);
}

function card(name, ...parts) {
  return element("section", { class: "card", "aria-label": name }, element("h2", {}, name), ...parts);
}
