"use strict";
// Makes the headers of each table buttons that sort it. Numbers are compared exactly, whatever their length; text by code
// unit; what is no number comes last in both directions.
const number = (text) => {
  const parts = /^([+-]?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!parts) return null;
  const digits = BigInt(parts[2] + (parts[3] || "").slice(0, 30).padEnd(30, "0"));
  return parts[1] === "-" ? -digits : digits;
};
const keyOf = (row, column, isNumber) => {
  const cell = row.cells[column];
  const text = cell.dataset.v ?? cell.textContent.trim();
  return isNumber ? number(text) : text;
};
const sort = (table, header, column) => {
  const isNumber = header.dataset.sort === "number";
  const up = header.getAttribute("aria-sort") !== "ascending";
  const rows = [...table.tBodies[0].rows].map((row) => [keyOf(row, column, isNumber), row]);
  rows.sort(([one], [other]) => {
    if (one === other) return 0;
    if (one === null) return 1;
    if (other === null) return -1;
    return (one < other ? -1 : 1) * (up ? 1 : -1);
  });
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  table.tBodies[0].append(...rows.map(([, row]) => row));
};
for (const table of document.querySelectorAll("table.sorts")) {
  if (table.tBodies[0].rows.length < 2) continue;
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(table, header, column));
    header.append(button);
    header.setAttribute("aria-sort", "none");
  });
}
