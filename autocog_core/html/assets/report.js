// The list of rows of a report: filtered, ordered, and drawn one page at a time.
(function () {
  "use strict";

  const PAGE_ROWS = 50;
  const list = JSON.parse(document.getElementById("report-rows").textContent);
  const several = list.runs.length > 1;
  // An answer is a list; these are its places.
  const [LABEL, PROB, LOW, HIGH, LOSS, IS_BOUND, RIGHT, ERROR, ALTERNATIVES, REST] = [...Array(10).keys()];
  const mainColumn = longestColumn();
  let shown = list.rows;
  let first = 0;

  const find = document.getElementById("find");
  const filter = document.getElementById("filter");
  const order = document.getElementById("order");
  const body = document.getElementById("rows");
  const position = document.getElementById("position");

  function make(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined && text !== null) made.textContent = text;
    return made;
  }

  // The column with the longest texts says most about a row.
  function longestColumn() {
    const lengths = list.columns.map(() => 0);
    for (const row of list.rows.slice(0, 200)) {
      row[1].forEach((cell, index) => { lengths[index] += cell === null ? 0 : cell.length; });
    }
    return Math.max(0, lengths.indexOf(Math.max(...lengths)));
  }

  function label(index) {
    return index === null ? "" : list.labels[index];
  }

  function differ(row) {
    return row[3].some((answer) => answer && row[3][0] && answer[LABEL] !== row[3][0][LABEL]);
  }

  const filters = {
    all: () => true,
    wrong: (row) => row[3].some((answer) => answer && answer[RIGHT] === 0),
    right: (row) => row[3].every((answer) => answer && answer[RIGHT] === 1),
    different: differ,
    fixed: (row) => row[3][0][RIGHT] === 0 && row[3].some((answer) => answer && answer[RIGHT] === 1),
    broken: (row) => row[3][0][RIGHT] === 1 && row[3].some((answer) => answer && answer[RIGHT] === 0),
    errors: (row) => row[3].some((answer) => answer && answer[ERROR] !== null),
  };

  function number(value) {
    return value === "inf" ? Infinity : value;
  }

  function prob(row) {
    return row[3][0][PROB] === null ? row[3][0][LOW] : row[3][0][PROB];
  }

  function change(row) {
    const losses = row[3].map((answer) => (answer ? number(answer[LOSS]) : null)).filter((loss) => loss !== null);
    return losses.length < 2 ? -1 : Math.max(...losses) - Math.min(...losses);
  }

  const orders = {
    loss: null,
    row: (one, other) => one[0] - other[0],
    sure: (one, other) => (prob(other) ?? -1) - (prob(one) ?? -1),
    unsure: (one, other) => (prob(one) ?? 2) - (prob(other) ?? 2),
    change: (one, other) => (change(other) || 0) - (change(one) || 0),
  };

  function text(row) {
    return [row[0], ...row[1], row[2], ...row[3].map((answer) => (answer ? label(answer[LABEL]) : ""))].join("\n").toLowerCase();
  }

  function update() {
    const wanted = find.value.trim().toLowerCase();
    shown = list.rows.filter(filters[filter.value]);
    if (wanted) shown = shown.filter((row) => text(row).includes(wanted));
    if (orders[order.value]) shown = shown.slice().sort(orders[order.value]);
    first = 0;
    draw();
  }

  function draw() {
    body.replaceChildren(...shown.slice(first, first + PAGE_ROWS).flatMap(drawRow));
    const last = Math.min(first + PAGE_ROWS, shown.length);
    position.textContent = shown.length
      ? `${(first + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${shown.length.toLocaleString("en")} rows`
      : "no such row";
    document.getElementById("back").disabled = first === 0;
    document.getElementById("forward").disabled = last >= shown.length;
  }

  function format(value) {
    if (value === null) return "";
    if (value > 0 && value < 0.00005) return "<.0001";
    return value.toFixed(4);
  }

  function formatProb(answer) {
    if (answer[PROB] !== null || answer[LOW] === null) return format(answer[PROB]);
    return `${format(answer[LOW])} to ${format(answer[HIGH])}`;
  }

  function formatLoss(answer) {
    if (answer[LOSS] === null) return "";
    const value = answer[LOSS] === "inf" ? "∞" : answer[LOSS].toFixed(3);
    return answer[IS_BOUND] && answer[LOSS] !== "inf" ? `≥ ${value}` : value;
  }

  function answerClass(answer) {
    return answer[RIGHT] === null ? "" : answer[RIGHT] ? "right-answer" : "wrong-answer";
  }

  function drawAnswer(answer) {
    const cell = make("td", "answer");
    if (!answer) {
      cell.append(make("span", "dim", "not in this run"));
    } else if (answer[ERROR] !== null) {
      cell.append(make("span", "warning", "error"));
    } else {
      cell.append(make("span", answerClass(answer), label(answer[LABEL])));
    }
    return cell;
  }

  function drawRow(row) {
    const line = make("tr");
    const button = make("button", "", String(row[0]));
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-label", `Row ${row[0]}: open its details`);
    const number = make("td");
    number.append(button);
    const input = make("td", "input");
    input.append(make("span", "cut", row[1][mainColumn]));
    line.append(number, input);
    if (list.has_gold) line.append(make("td", "answer", row[2]));
    for (const answer of row[3]) {
      line.append(drawAnswer(answer));
      line.append(make("td", "number", answer ? formatProb(answer) : ""));
      if (list.has_gold) line.append(make("td", "number loss", answer ? formatLoss(answer) : ""));
    }
    const below = make("tr");
    below.hidden = true;
    button.addEventListener("click", () => {
      if (!below.firstChild) below.append(details(row, line.children.length));
      below.hidden = !below.hidden;
      button.setAttribute("aria-expanded", String(!below.hidden));
    });
    return [line, below];
  }

  function details(row, columns) {
    const cell = make("td", "details");
    cell.colSpan = columns;
    const inside = make("div");
    cell.append(inside);
    const facts = make("dl", "facts");
    list.columns.forEach((name, index) => {
      if (row[1][index] !== null) facts.append(make("dt", "", name), make("dd", "text", row[1][index]));
    });
    const answers = make("div", "answers");
    row[3].forEach((answer, index) => {
      if (answer) answers.append(drawAlternatives(row, answer, index));
    });
    inside.append(facts, answers);
    row[3].forEach((answer, index) => {
      const data = answer && document.getElementById(`tree-${index}-${row[0]}`);
      if (data) inside.append(drawTree(data, index, row[0]));
    });
    return cell;
  }

  function drawAlternatives(row, answer, index) {
    const part = make("section");
    if (several) part.append(make("h3", "", list.runs[index]));
    if (answer[ERROR] !== null) {
      part.append(make("p", "warning", answer[ERROR]));
      return part;
    }
    const table = make("table", "alternatives");
    for (const [name, share] of answer[ALTERNATIVES]) {
      const line = make("tr");
      const isGold = list.has_gold && row[2] !== null && list.labels[name] === row[2];
      const marked = name === answer[LABEL] ? answerClass(answer) : "";
      const text = make("td", "text");
      text.append(make("span", marked, list.labels[name]));
      if (isGold) text.append(make("span", "gold", "  (right answer)"));
      const bar = make("td", "share");
      const outer = make("span", "bar");
      const inner = make("span");
      inner.style.width = `${100 * share}%`;
      outer.append(inner);
      bar.append(outer);
      line.append(text, make("td", "number", format(share)), bar);
      table.append(line);
    }
    part.append(table);
    if (answer[REST]) {
      const [count, share] = answer[REST];
      part.append(make("p", "dim", `${count} more, with ${format(share)} together`));
    }
    return part;
  }

  function drawTree(data, index, row) {
    const part = make("div", "tree");
    const button = make("button", "", several ? `Show the tree of ${list.runs[index]}` : "Show the tree");
    button.type = "button";
    button.addEventListener("click", () => {
      const place = make("div");
      place.id = `tree-at-${index}-${row}`;
      button.replaceWith(place);
      autocogExplorer(place, JSON.parse(data.textContent));
    });
    part.append(button);
    return part;
  }

  for (const control of [find, filter, order]) control.addEventListener("input", update);
  document.getElementById("back").addEventListener("click", () => { first -= PAGE_ROWS; draw(); });
  document.getElementById("forward").addEventListener("click", () => { first += PAGE_ROWS; draw(); });
  draw();
})();
