// The chart of layers: the point nearest to the pointer or chosen with arrows is told, and a click or Enter fixes it.
(() => {
  const element = document.getElementById("layer-data");
  if (!element) return;
  const data = JSON.parse(element.textContent);
  const panel = document.getElementById("layer");
  const charts = document.querySelectorAll("#layers svg.chart");
  document.getElementById("layer-keys").hidden = false;

  const made = (kind, text, name) => {
    const one = document.createElement(kind);
    if (text) one.textContent = text;
    if (name) one.className = name;
    return one;
  };
  const drawn = (kind, attributes) => {
    const one = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
    return one;
  };
  const ROW = ["place", "y", "layer", "op", "dtype", "sqnr", "isolated", "channel", "growth", "own", "weights"];
  const rowOf = (line, row) => Object.fromEntries(ROW.map((name, at) => [name, data.lines[line].rows[row][at]]));

  // The histogram of the float32 weights, that of the worst channel before it, and a tick for each stored value.
  const histogram = ([, , , , whole, , worst, cells]) => {
    const [low, high, all] = data.histograms[whole];
    const svg = drawn("svg", { viewBox: "0 0 256 84", role: "img", class: "histogram" });
    svg.setAttribute("aria-label", `Float32 weights from ${low} to ${high}`);
    for (const [heights, name] of [[all, "all"], [worst, "worst"]]) {
      const width = 256 / (heights.length || 1);
      [...heights].forEach((character, at) => {
        const height = (60 * parseInt(character, 36)) / 35;
        if (height) svg.append(drawn("rect", { x: at * width, y: 60 - height, width, height, class: name }));
      });
    }
    [...cells].forEach((digit, at) => {
      for (let bit = 0; bit < 4; bit += 1) {
        if (parseInt(digit, 16) & (8 >> bit)) {
          const x = 4 * at + bit + 0.5;
          svg.append(drawn("line", { x1: x, x2: x, y1: 62, y2: 69, class: "code" }));
        }
      }
    });
    for (const [text, x, anchor] of [[low, 0, "start"], [high, 256, "end"]]) {
      const label = drawn("text", { x, y: 81, "text-anchor": anchor });
      label.textContent = text;
      svg.append(label);
    }
    return svg;
  };

  const weightFigure = (weight) => {
    const [name, shape, dtype, sqnr, , channel, worst, cells, values, ofChannel] = weight;
    const figure = made("figure");
    const caption = made("figcaption");
    const told = [`Grey: float32 weights.`];
    if (worst) told.push(`Blue: those of the worst channel (${channel} dB), each as a share of its highest bar.`);
    if (cells) told.push(`Ticks: the ${values} stored values${ofChannel ? " of that channel" : ""}.`);
    else told.push(`Stored as ${dtype}, whose values are too many to be drawn.`);
    caption.append(made("b", name), ` ${shape}, ${dtype}, SQNR ${sqnr} dB. ${told.join(" ")}`);
    figure.append(histogram(weight), caption);
    return figure;
  };

  const fix = (line, row) => {
    const { setting, runtime, absent } = data.lines[line];
    const facts = rowOf(line, row);
    const list = made("dl");
    for (const [term, value] of [
      ["setting", `${setting} in ${runtime}`],
      ["op", `${facts.op}, in ${facts.dtype}`],
      ["SQNR", `${facts.sqnr} dB`],
      ["isolated SQNR", `${facts.isolated} dB`],
      ["worst channel", `${facts.channel} dB`],
      ["error growth", facts.growth],
    ]) {
      list.append(made("dt", term), made("dd", value.startsWith("–") ? "–" : value));
    }
    panel.replaceChildren(made("h3", facts.layer), list);
    for (const weight of facts.weights ?? []) panel.append(weightFigure(weight));
    if (!facts.weights) panel.append(made("p", absent || "Its op reads no weights that were compared.", "note"));
    panel.hidden = false;
    for (const chart of charts) mark(chart, "fixed", line, row);
  };

  // Pixels of a point in the coordinates of a chart.
  const at = (chart, line, row, own = false) => {
    const [place, accumulated] = data.lines[line].rows[row];
    const y = own ? rowOf(line, row).own : accumulated;
    const width = data.widths[chart.classList.contains("narrow") ? "narrow" : "roomy"];
    return { x: width * (0.01 + (0.98 * place) / Math.max(data.steps - 1, 1)), y: (data.height * y) / 1000 };
  };
  const mark = (chart, name, line, row) => {
    const group = chart.querySelector("path.background").parentNode;
    const ring = group.querySelector(`.${name}`) ?? group.appendChild(drawn("circle", { r: 8, class: name }));
    const { x, y } = at(chart, line, row);
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    return ring;
  };

  const NEAR = 24;
  const nearest = (chart, event) => {
    const matrix = chart.querySelector("path.background").getScreenCTM().inverse();
    const pointer = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
    let best = null;
    let least = NEAR;
    data.lines.forEach((one, line) => one.rows.forEach((_, row) => {
      for (const own of rowOf(line, row).own === null ? [false] : [false, true]) {
        const { x, y } = at(chart, line, row, own);
        const distance = Math.hypot(x - pointer.x, y - pointer.y);
        if (distance < least) [best, least] = [[line, row], distance];
      }
    }));
    return best;
  };
  const told = (line, row) => {
    const facts = rowOf(line, row);
    const alone = facts.isolated === "–" ? "" : `, of the op alone ${facts.isolated} dB`;
    const worst = facts.channel === "–" ? "" : `, worst channel ${facts.channel} dB`;
    return `${data.lines[line].name}, ${facts.layer} (${facts.op}): SQNR ${facts.sqnr} dB${alone}${worst}`;
  };

  for (const chart of charts) {
    let chosen = data.first;
    chart.addEventListener("pointermove", (event) => {
      const found = nearest(chart, event);
      tell(found && told(...found), event.clientX, event.clientY);
      event.stopPropagation();
      chart.style.cursor = found ? "pointer" : "";
    });
    chart.addEventListener("click", (event) => {
      const found = nearest(chart, event);
      if (!found) return;
      chosen = found;
      fix(...found);
    });
    chart.tabIndex = 0;
    chart.setAttribute("role", "application");
    chart.addEventListener("blur", () => tell(null));
    chart.addEventListener("keydown", (event) => {
      const [line, row] = chosen;
      const lines = data.lines.length;
      const near = (other) => {
        const places = data.lines[other].rows.map(([place]) => Math.abs(place - rowOf(line, row).place));
        return [other, places.indexOf(Math.min(...places))];
      };
      const moves = {
        ArrowRight: () => [line, Math.min(row + 1, data.lines[line].rows.length - 1)],
        ArrowLeft: () => [line, Math.max(row - 1, 0)],
        ArrowDown: () => near((line + 1) % lines),
        ArrowUp: () => near((line + lines - 1) % lines),
      };
      if (event.key === "Enter") fix(line, row);
      else if (moves[event.key]) chosen = moves[event.key]();
      else return;
      event.preventDefault();
      const box = mark(chart, "chosen", ...chosen).getBoundingClientRect();
      tell(told(...chosen), box.right, box.bottom);
    });
  }

  for (const row of document.querySelectorAll("#worst-layers tr[data-place]")) {
    if (!row.dataset.place) continue;
    const button = made("button");
    button.type = "button";
    button.append(...row.cells[0].childNodes);
    row.cells[0].append(button);
    row.addEventListener("click", () => fix(...row.dataset.place.split(",").map(Number)));
  }

  fix(...data.first);
})();
