"use strict";
// One picture at a time. A key changes what is seen at once; what was decided goes to the server in order, each before the next.

const $ = (id) => document.getElementById(id);
const AHEAD = 6; // pictures fetched before they are asked for
const state = { pictures: [], at: 0, total: 0, left: 0, unsaved: 0, decided: [], trouble: "" };
const loaded = new Map(); // picture id -> promise of {before, after}: elements ready to be shown
let saving = Promise.resolve();
let unsaved = 0;

function none() { return { inverted: false, quarters: 0, split: false }; }
function current() { return state.pictures[state.at]; }
function marks() { return (current().marks ||= none()); }
function marked() { return marks().inverted || marks().quarters || marks().split; }

// ---- what lies on the server -------------------------------------------------------------------------------------------

async function answer(response) {
  if (!response.ok) throw new Error(await response.text());
  return response;
}

async function load() {
  const query = new URLSearchParams(location.search);
  const found = await (await answer(await fetch("pictures?" + query))).json();
  Object.assign(state, { pictures: found.pictures, at: 0, total: found.total, left: found.left, found });
  document.title = `review ${found.dataset}@${found.version}`;
  choices("body_part", found.body_parts, query);
  choices("split", found.splits, query);
  for (const name of ["step", "sample"]) $("filters").elements[name].value = query.get(name) || "";
  $("filters").elements.review.checked = query.get("review") === "1";
  show();
}

function choices(name, values, query) {
  const select = $("filters").elements[name];
  select.replaceChildren(new Option("all", ""), ...values.map((value) => new Option(value.replaceAll("_", " "), value)));
  select.value = query.get(name) || "";
}

function post(path, wish, picture) {
  unsaved += 1;
  saving = saving.then(async () => {
    if (state.trouble) { comeBack(picture); return undefined; }
    try {
      const response = await fetch(path, {
        method: "POST", keepalive: true, headers: { "Content-Type": "application/json" }, body: JSON.stringify(wish),
      });
      const found = await (await answer(response)).json();
      state.found.counts = found.counts;
      return found;
    } catch (error) {
      stop(error, picture);
      return undefined;
    }
  }).finally(() => { unsaved -= 1; });
  return saving;
}

function stop(error, picture) {
  const gone = error instanceof TypeError;
  state.trouble = gone ? "Not saved: the server has ended. Start etl review again and open its new address; all before this picture is on the disk."
    : `Not saved: ${error.message}`;
  $("trouble").textContent = state.trouble;
  $("trouble").hidden = false;
  comeBack(picture);
}

// What could not be saved is seen again: the first of it.
function comeBack(picture) {
  if (!picture) return;
  if (!state.pictures.includes(picture)) {
    state.pictures.splice(state.unsaved, 0, picture);
    state.unsaved += 1;
    state.left += 1;
  }
  state.at = state.unsaved ? 0 : state.pictures.indexOf(picture);
  show();
}

// ---- pictures, fetched ahead -------------------------------------------------------------------------------------------

// A picture, or in its place the words why there is none. Rejects only where the server is gone.
async function element(url) {
  const response = await fetch(url);
  if (response.status === 409) return instead(await response.text()); // missing, or no PNG
  const image = new Image();
  image.src = URL.createObjectURL(await (await answer(response)).blob());
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(image.src);
    return instead(`${url.startsWith("before") ? "the preview of this film" : "this picture"} is damaged`);
  }
  return image;
}

function instead(trouble) {
  const p = document.createElement("p");
  p.className = "lost";
  p.textContent = trouble;
  return p;
}

function lost() { return Boolean($("after").querySelector(".lost")); }

function fetched(picture) {
  if (!loaded.has(picture.id)) {
    const both = Promise.all([element(`before/${picture.id}`), element(`after/${picture.id}`)]);
    both.catch(() => loaded.delete(picture.id));
    loaded.set(picture.id, both);
  }
  return loaded.get(picture.id);
}

function forget() {
  const shown = state.pictures.slice(Math.max(0, state.at - 3), state.at + AHEAD + 1);
  const near = new Set([...shown, ...state.decided].map((picture) => picture.id)); // a decision may fail, or be undone
  for (const [id, both] of loaded) {
    if (near.has(id)) continue;
    loaded.delete(id);
    both.then((images) => images.forEach((image) => image.src && URL.revokeObjectURL(image.src)), () => {});
  }
}

// ---- what is seen ------------------------------------------------------------------------------------------------------

async function show() {
  const picture = current();
  const done = state.total - state.left;
  $("done").textContent = done.toLocaleString("en");
  $("total").textContent = state.total.toLocaleString("en");
  $("left").textContent = state.left ? `· ${state.left.toLocaleString("en")} to go` : "";
  $("bar").style.width = `${state.total ? (100 * done) / state.total : 100}%`;
  $("end").hidden = Boolean(picture);
  $("told").replaceChildren();
  if (!picture) { saving.then(() => current() || end()); return; } // the last decision counts too
  words(picture);
  $("name").dataset.id = "";
  document.body.classList.add("waiting");
  try {
    const [before, after] = await fetched(picture);
    if (picture !== current()) return;
    $("before").replaceChildren(film(before, picture.outline));
    $("after").replaceChildren(after);
    $("name").dataset.id = picture.id; // what is on the screen now
    document.body.classList.remove("waiting");
    preview();
  } catch (error) {
    if (picture === current()) stop(error, null);
  }
  forget();
  for (const next of state.pictures.slice(state.at + 1, state.at + 1 + AHEAD)) fetched(next).catch(() => {});
}

// The film, and where on it the picture was cut from.
function film(image, outline) {
  if (!outline || !(image instanceof HTMLImageElement)) return image;
  const make = (name, values) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(values)) node.setAttribute(key, value);
    return node;
  };
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}` });
  const points = outline.map(([x, y]) => `${x * width},${y * height}`).join(" ");
  svg.append(make("image", { href: image.src, width, height }), make("polygon", { points }));
  return svg;
}

function words(picture) {
  $("told").append(...picture.told.map((one) => item(`${one.title}: ${one.words}`, one.sure, one.doubtful ? "doubtful" : "")));
  $("told").append(...picture.corrected.map((name) => item(name === "confirmed" ? "confirmed before" : `${name} mended before`, null, "mended")));
  $("cut").textContent = picture.whole ? "it shows several" : "keep the film whole";
}

function item(text, sure, kind) {
  const li = document.createElement("li");
  li.className = kind;
  li.append(text);
  if (sure !== null) {
    const small = document.createElement("small");
    small.textContent = ` ${Math.round(100 * sure)} % sure`;
    li.append(small);
  }
  return li;
}

// The marks on the picture that is on the screen.
function preview() {
  const { inverted, quarters, split } = marks();
  const image = $("after").firstElementChild;
  if (image && !lost()) {
    image.style.transform = quarters ? `rotate(${90 * quarters}deg)` : "";
    image.style.filter = inverted ? "invert(1)" : "";
  }
  $("after").classList.toggle("whole", quarters % 2 === 0);
  $("before").classList.add("whole");
  $("after").classList.toggle("marked", Boolean(marked()));
  for (const [key, on] of [["i", inverted], ["r", quarters], ["s", split]]) {
    document.querySelector(`[data-key="${key}"]`).classList.toggle("on", Boolean(on));
  }
  const said = [
    inverted ? "greys turned" : "", quarters ? `turned ${90 * quarters}° clockwise` : "",
    split ? (current().whole ? "to be cut" : "film to stay whole") : "",
  ].filter(Boolean).join(", ");
  $("name").replaceChildren(said ? document.createElement("b") : "picture");
  if (said) $("name").firstChild.textContent = `picture · ${said}`;
  if (lost()) $("name").textContent = "cannot be shown: ← leaves it out, ↓ goes on";
  $("yes").textContent = said ? "right so" : "right";
}

function end() {
  const { found } = state;
  const counts = Object.entries(found.counts).map(([name, number]) => `${number.toLocaleString("en")} ${name}`).join(" · ");
  const lines = [["h2", state.total ? "All looked at" : "No picture matches these filters"], ["p", counts || "nothing decided yet"]];
  if (state.total) lines.push(["p", "The next version, with all of this in it:"], ["code", found.next]);
  $("end").replaceChildren(...lines.map(([name, text]) => {
    const node = document.createElement(name);
    node.textContent = text;
    return node;
  }));
  $("before").replaceChildren();
  $("after").replaceChildren();
  $("name").dataset.id = "";
}

// ---- keys --------------------------------------------------------------------------------------------------------------

function decide(verdict) {
  const picture = current();
  return post("decide", { image_id: picture.id, verdict, ...marks() }, picture);
}

// A decided picture leaves the list; with a film that is to be cut otherwise all its pictures do.
function leave() {
  const picture = current();
  const gone = (one) => one === picture || (picture.marks.split && one.film === picture.film);
  state.decided = [picture, ...state.decided].slice(0, AHEAD);
  const before = state.pictures.slice(0, state.at).filter((one) => !gone(one)).length;
  const count = state.pictures.length;
  state.pictures = state.pictures.filter((one) => !gone(one));
  state.left -= count - state.pictures.length;
  state.at = before >= state.pictures.length ? 0 : before; // those that were put off come round again
  if (!state.pictures.length && state.left > 0) saving.then(load, () => {});
  else show();
}

async function undo() {
  const found = await post("undo", {}, null);
  if (!found || !found.picture) return;
  await load(); // what leaves the list with a decision comes back with it
  const at = state.pictures.findIndex((picture) => picture.id === found.picture.id);
  if (at >= 0) state.at = at;
  else { state.pictures.unshift(found.picture); state.at = 0; } // decided under another filter
  show();
}

const actions = {
  ArrowRight() { decide("right"); leave(); }, // marks and all
  ArrowLeft() { current().marks = none(); decide("wrong"); leave(); },
  i() { mark({ inverted: !marks().inverted }); },
  r() { mark({ quarters: (marks().quarters + 1) % 4, split: false }); },
  s() { mark({ split: !marks().split, quarters: 0 }); }, // what a cut gives is turned when it has been seen
  u: undo,
  ArrowDown() { move(1); },
  ArrowUp() { move(-1); },
};

function mark(change) { Object.assign(marks(), change); preview(); decide(null); }

function move(by) {
  const count = state.pictures.length;
  state.at = (state.at + by + count) % count;
  show();
}

function act(key) {
  if (state.trouble || (!current() && key !== "u")) return;
  const unseen = current() && $("name").dataset.id !== current().id;
  if (unseen && !/^(u|ArrowUp|ArrowDown)$/.test(key)) return; // nobody decides what is not on the screen
  if (current() && lost() && !/^(u|Arrow(Up|Down|Left))$/.test(key)) return; // it can be left out or put off, not judged
  actions[key]();
}

document.addEventListener("keydown", (event) => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(actions, key)) return;
  if (/^(INPUT|SELECT)$/.test(event.target.tagName)) return;
  event.preventDefault();
  if (event.repeat && key !== "ArrowDown" && key !== "ArrowUp") return; // a key held down decides one picture
  act(key);
});
for (const button of document.querySelectorAll("[data-key]")) {
  button.addEventListener("click", () => { act(button.dataset.key); button.blur(); });
}
$("filters").addEventListener("change", (event) => {
  const wanted = new URLSearchParams();
  for (const [name, value] of new FormData($("filters"))) if (value.trim()) wanted.set(name, value.trim());
  history.replaceState(null, "", `${location.pathname}?${wanted}`);
  event.target.blur();
  saving.then(load).catch((error) => stop(error, null));
});
$("filters").addEventListener("submit", (event) => event.preventDefault());
addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
load().catch((error) => stop(error, null));
