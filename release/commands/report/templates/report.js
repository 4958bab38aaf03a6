"use strict";
// Text of others only ever becomes textContent: nothing of the ledger is taken for markup.
(() => {
  const packed = JSON.parse(document.getElementById("data").textContent);
  const text = (number) => packed.texts[number];
  const moment = (second) => new Date(second * 1000).toISOString().slice(0, 19).replace("T", " ");
  const changes = (rows) => rows.map((row) => row.map(text));
  const data = {
    events: packed.events.map(([second, ...rest]) => [moment(second), ...rest.map(text)]),
    releases: packed.releases.map(([v, t, w, d, c, s, n, g, p, b]) => ({
      v: text(v), t: moment(t), w: text(w), d, c, s, n,
      g: g.map(([name, begin, length]) => [text(name), begin, length]), p: changes(p), b: changes(b),
    })),
  };
  const byId = (id) => document.getElementById(id);
  const PAGE = 50;

  const make = (tag, words, kind) => {
    const made = document.createElement(tag);
    if (words !== undefined) made.textContent = words;
    if (kind) made.className = kind;
    return made;
  };
  const drawn = (tag, attributes, words) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (words !== undefined) made.textContent = words;
    return made;
  };
  const seconds = (milliseconds) => (milliseconds / 1000).toFixed(1) + " s";
  const known = new Map(data.releases.map((release) => [release.v, release]));

  const versionCell = (version) => {
    const cell = make("td");
    if (known.has(version)) {
      const button = make("button", version, "link");
      button.type = "button";
      button.setAttribute("aria-haspopup", "dialog");
      button.addEventListener("click", () => open(known.get(version)));
      cell.append(button);
    } else cell.textContent = version;
    return cell;
  };

  // A list that shows some rows, and more of them on demand.
  const list = (body, more, row) => {
    let rows = [], shown = 0;
    const grow = () => {
      const next = rows.slice(shown, shown + PAGE);
      body.append(...next.map(row));
      shown += next.length;
      more.hidden = shown >= rows.length;
    };
    more.addEventListener("click", () => {
      const first = body.rows.length;
      grow();
      const target = body.rows[first] && body.rows[first].querySelector("button");
      if (target) target.focus();
    });
    addEventListener("beforeprint", () => { while (shown < rows.length) grow(); });
    return (wanted) => { rows = wanted; shown = 0; body.replaceChildren(); grow(); };
  };

  // Releases
  const whole = (release) => release.g.reduce((most, gate) => Math.max(most, gate[1] + gate[2]), 0);
  const showReleases = list(byId("list"), byId("more-releases"), (release) => {
    const row = make("tr");
    row.append(
      versionCell(release.v), make("td", release.t.slice(0, 16), "when"), make("td", release.w),
      make("td", release.d.slice(0, 12)), make("td", release.n < 0 ? "" : String(release.n)),
      make("td", seconds(whole(release))), make("td", release.p.length ? String(release.p.length) : ""));
    return row;
  });

  const table = (title, rows) => {
    const made = make("table"), head = make("tr"), body = make("tbody");
    made.append(make("caption", title));
    for (const name of ["name", "before", "now"]) { const cell = make("th", name); cell.scope = "col"; head.append(cell); }
    const top = make("thead"); top.append(head);
    for (const cells of rows) { const row = make("tr"); row.append(...cells.map((cell) => make("td", cell || "–"))); body.append(row); }
    made.append(top, body);
    return made;
  };
  const waterfall = (release) => {
    const total = whole(release) || 1, width = 720, height = release.g.length * 22 + 4;
    const svg = drawn("svg", { role: "img", "aria-label": "stages of " + release.v, viewBox: `0 0 ${width} ${height}` });
    release.g.forEach(([name, begin, length], place) => {
      const left = 110 + begin / total * (width - 180), size = Math.max(2, length / total * (width - 180));
      svg.append(
        drawn("text", { x: 0, y: place * 22 + 14 }, name),
        drawn("rect", { class: "stage", x: left, y: place * 22 + 4, width: size, height: 12 }),
        drawn("text", { x: left + size + 4, y: place * 22 + 14 }, seconds(length)));
    });
    return svg;
  };
  const open = (release) => {
    const facts = make("dl");
    const fact = (name, words) => facts.append(make("dt", name), make("dd", words));
    fact("image", "sha256:" + release.d);
    fact("commit", release.c);
    fact("released", release.t + " UTC by " + release.w);
    fact("size", (release.s / 1e6).toFixed(1) + " MB");
    if (release.n >= 0) fact("tests", String(release.n));
    fact("gates passed", release.g.map((gate) => gate[0]).join(", "));
    const body = byId("detail-body");
    body.replaceChildren(facts, waterfall(release));
    if (release.p.length) body.append(table("Packages that changed", release.p));
    if (release.b.length) body.append(table("Base images that changed", release.b));
    const deployed = data.events.filter((event) => event[1] === release.v && event[2] !== "release");
    if (deployed.length) {
      const places = make("ul");
      for (const event of deployed.slice(0, 20)) places.append(make("li", [event[0], event[2], event[3], event[4], event[6]].filter(Boolean).join(" · ")));
      body.append(make("h3", "What happened to it"), places);
    }
    byId("detail-title").textContent = release.v;
    byId("detail").showModal();
    history.replaceState(null, "", "#release=" + encodeURIComponent(release.v));
  };
  byId("detail").addEventListener("close", () => history.replaceState(null, "", "#releases"));

  // Timeline
  const showEvents = list(byId("events"), byId("more-events"), (event) => {
    const row = make("tr"), bad = /failed|mixed|restored|frozen|set/.test(event[4]), good = /healthy|passed|released/.test(event[4]);
    row.append(
      make("td", event[0], "when"), versionCell(event[1]), make("td", event[2]), make("td", event[3]),
      make("td", event[4], bad ? "bad" : good ? "good" : ""), ...event.slice(5).map((cell) => make("td", cell)));
    return row;
  });
  const options = (select, column) => {
    for (const name of [...new Set(data.events.map((event) => event[column]).filter(Boolean))].sort()) {
      const option = make("option", name); option.value = name; select.append(option);
    }
  };
  options(byId("in"), 3);
  options(byId("what"), 2);
  const filter = () => {
    const place = byId("in").value, what = byId("what").value, words = byId("search").value.trim().toLowerCase();
    const rows = data.events.filter((event) => (!place || event[3] === place) && (!what || event[2] === what)
      && (!words || event.some((cell) => cell.toLowerCase().includes(words))));
    byId("count").textContent = rows.length + (rows.length === 1 ? " event" : " events");
    showEvents(rows);
  };
  for (const id of ["in", "what"]) byId(id).addEventListener("change", filter);
  byId("search").addEventListener("input", filter);
  document.querySelector(".filter").addEventListener("submit", (event) => event.preventDefault());

  showReleases(data.releases);
  filter();
  const asked = /^#release=(.*)$/.exec(location.hash);
  if (asked && known.has(decodeURIComponent(asked[1]))) open(known.get(decodeURIComponent(asked[1])));
})();
