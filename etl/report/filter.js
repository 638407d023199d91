// The filter's state is the address after #, so a view can be linked to: #step=rotation&part=wrist
(() => {
  const form = document.getElementById("filter");
  const told = document.getElementById("told");
  const selects = [...form.querySelectorAll("select")];
  const cards = [...document.querySelectorAll(".card")];
  const rows = [...document.querySelectorAll("tr[data-f]")];
  const reasons = [...document.querySelectorAll(".reason, .lists")];
  const more = form.querySelector("details");
  const all = Number(form.dataset.total);
  const many = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

  // What a link leads to stands below the filter, however high that is.
  new ResizeObserver(() => document.documentElement.style.setProperty("--under-filter", `${form.offsetHeight + 12}px`)).observe(form);

  const sheet = document.getElementById("sheet");
  const sure = new Map(cards.map((card) => [card, new Map(card.dataset.sure.split(" ").map((pair) => pair.split(":")))]));
  let sorted = "";

  // Least sure first: of the step that is asked for, otherwise of all as the page came.
  function sort(step) {
    if (step === sorted) return;
    sorted = step;
    const value = (card) => Number(sure.get(card).get(step) ?? 2);
    sheet.append(...(step ? [...cards].sort((a, b) => value(a) - value(b)) : cards));
  }

  function show() {
    const words = location.hash.includes("=") ? new URLSearchParams(location.hash.slice(1)) : new URLSearchParams();
    const picked = [];
    for (const select of selects) {
      const value = words.get(select.name);
      const option = value === null ? null : [...select.options].find((each) => each.value === value && each.dataset.token);
      select.selectedIndex = option ? option.index : 0;
      if (value !== null) picked.push(option);
      if (option && more.contains(select)) more.open = true;
    }
    const steps = ["inversion", "split", "rotation", "body_part"];
    const asked = [words.get("review"), words.get("step") === "upside_down" ? "rotation" : words.get("step")];
    sort(asked.find((word) => steps.includes(word)) ?? "");
    const wanted = picked.map((option) => (option ? option.dataset.token : "nothing"));
    const match = (node) => {
      const tokens = node.dataset.f.split(" ");
      return (node.hidden = !wanted.every((token) => tokens.includes(token))) ? 0 : 1;
    };
    const count = (nodes) => nodes.reduce((sum, node) => sum + match(node), 0);
    const [pictures, listed] = [count(cards), count(rows)];
    for (const reason of reasons) reason.hidden = wanted.length > 0 && !reason.querySelector("tr[data-f]:not([hidden])");
    document.getElementById("none").hidden = pictures > 0 || all === 0;
    tell(picked, pictures, listed);
  }

  function tell(picked, pictures, listed) {
    let text = many(pictures, "picture") + " shown";
    if (cards.length < all && picked.length < 2) {
      const there = picked.length === 0 ? all : picked[0] ? Number(picked[0].dataset.count) : 0;
      if (!picked.length || pictures) text += ` of ${there.toLocaleString("en")} in the version`;
    } else if (cards.length < all) {
      text += `; the ${(all - cards.length).toLocaleString("en")} pictures that this page does not hold may have more such`;
    }
    if (picked.length && listed) text += `; ${many(listed, "row")} listed further below`;
    told.textContent = text + ".";
  }

  form.addEventListener("change", () => {
    const words = new URLSearchParams();
    for (const select of selects) if (select.selectedIndex) words.set(select.name, select.value);
    history.replaceState(null, "", "#" + (words.size ? words : "pictures"));
    show();
  });
  form.addEventListener("reset", () => {
    history.replaceState(null, "", "#pictures");
    show();
  });
  function arrive() {
    show();
    if (!location.hash.includes("=")) return;
    const there = document.querySelector(".card:not([hidden])") && document.getElementById("pictures");
    (there || document.querySelector(".lists:not([hidden])") || document.getElementById("pictures")).scrollIntoView();
  }
  addEventListener("hashchange", arrive);
  arrive();
})();
