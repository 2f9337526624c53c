// A checkbox shows or hides a run's learning curve.
for (const box of document.querySelectorAll("input[data-curve]")) {
  const line = box.closest("fieldset").querySelector(`[id="curve-${box.dataset.curve}"]`);
  const show = () => (line.style.display = box.checked ? "" : "none");
  box.addEventListener("change", show);
  show(); // the browser may remember what was chosen before
}
