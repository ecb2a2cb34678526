// The head of each column of the table of classes sorts it; a second press turns the order around.
{
  const table = document.getElementById("classes-table");
  const body = table?.tBodies[0];
  const heads = table ? [...table.tHead.rows[0].cells] : [];
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = Number(text.replace("−", "-").replaceAll(",", ""));
    return text === "–" || text === "" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [value(row, column), row]);
      rows.sort(([first], [second]) => {
        if (first === null || second === null) return (first === null) - (second === null);
        const order = typeof first === typeof second ? (first < second ? -1 : first > second ? 1 : 0) : typeof first === "number" ? -1 : 1;
        return down ? -order : order;
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
