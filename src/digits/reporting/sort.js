// A column's heading is a button: it sorts the rows by this column, the largest first, and again the other way round.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const value = (row, at) => {
    const text = row.cells[at].textContent.trim();
    const number = Number.parseFloat(text.replace(/,/g, "").replace(/^< /, ""));
    return /^[\d<]/.test(text) && !/^\d{4}-/.test(text) ? number : text;
  };
  headings.forEach((heading, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const rising = heading.getAttribute("aria-sort") === "descending" || (at === 0 && !heading.ariaSort);
      for (const each of headings) each.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(b));
      const rows = [...body.rows].sort((a, b) => compare(value(a, at), value(b, at)));
      body.append(...(rising ? rows : rows.reverse()));
    });
  });
}
