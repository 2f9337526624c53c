// A cell of the confusion matrix filters the gallery of mistakes to its pair; the same cell again shows all pairs.
const gallery = document.getElementById("gallery");
if (gallery) {
  const cells = document.querySelectorAll("button[data-pair]");
  const status = document.getElementById("shown");
  const showAll = document.getElementById("show-all");
  const items = [...gallery.children].map((item) => ({ item, hidden: item.hidden }));
  const usual = status.textContent;

  const choose = (cell) => {
    for (const each of cells) each.setAttribute("aria-pressed", each === cell);
    for (const each of items) each.item.hidden = cell ? each.item.dataset.pair !== cell.dataset.pair : each.hidden;
    const shown = items.filter((each) => !each.item.hidden);
    const count = cell && Number(cell.querySelector(".count").textContent);
    const part = count > shown.length ? ` The ${shown.length} with the highest confidence are shown; predictions.csv has all.` : "";
    status.textContent = cell ? `${cell.getAttribute("aria-label")}.${part}` : usual;
    showAll.hidden = !cell;
    if (cell) shown[0].item.scrollIntoView({ block: "nearest" });
  };

  for (const cell of cells) {
    cell.addEventListener("click", () => choose(cell.getAttribute("aria-pressed") === "true" ? null : cell));
  }
  showAll.addEventListener("click", () => {
    const chosen = document.querySelector("button[aria-pressed=true]");
    choose(null);
    chosen.focus(); // this button is gone now
  });
}
