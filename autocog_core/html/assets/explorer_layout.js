"use strict";

// Where the boxes of the explorer stand, and the edges between them.

// Returns the place of each item: its left, top, width and height, by its id; and the size of all.
// A parent is level with its first child, the likeliest one, so that a likely path is straight.
// Subtrees stand as close as their outlines let them: no boxes overlap.
function autocogLayout(items, sizes, space, gap) {
  const children = new Map(items.map((item) => [item.id, []]));
  const roots = { id: null };
  children.set(null, []);
  for (const item of items) children.get(item.parent >= 0 ? item.parent : null).push(item);
  const offsets = new Map(); // the middle of an item, below the middle of its parent
  const outlines = new Map(); // for each level of a subtree: [highest, lowest], from its middle
  for (const item of [roots, ...items].reverse()) {
    const outline = stackSubtrees(children.get(item.id), outlines, offsets, gap);
    const size = sizes.get(item.id);
    if (size) outline.unshift([-size.height / 2, size.height / 2]);
    outlines.set(item.id, outline);
  }
  const top = Math.min(...outlines.get(null).map((level) => level[0]), 0);
  const bottom = Math.max(...outlines.get(null).map((level) => level[1]), 0);
  const lefts = columnLefts(items, sizes, space);
  const places = new Map();
  for (const item of items) {
    const parent = places.get(item.parent);
    const middle = (parent ? parent.middle : -top) + offsets.get(item.id);
    const { width, height } = sizes.get(item.id);
    const left = lefts[item.level];
    places.set(item.id, { left, top: middle - height / 2, middle, width, height });
  }
  return { places, width: lefts[lefts.length - 1], height: bottom - top };
}

// Puts subtrees below each other, and returns the outline of all.
function stackSubtrees(subtrees, outlines, offsets, gap) {
  let all = [];
  for (const item of subtrees) {
    const outline = outlines.get(item.id);
    outlines.delete(item.id);
    let shift = 0;
    if (all.length) {
      const shared = Math.min(all.length, outline.length);
      shift = -Infinity;
      for (let level = 0; level < shared; level++) {
        shift = Math.max(shift, all[level][1] + gap - outline[level][0]);
      }
    }
    offsets.set(item.id, shift);
    if (!shift) {
      all = outline;
      continue;
    }
    outline.forEach(([high, low], level) => {
      if (level < all.length) {
        all[level] = [Math.min(all[level][0], high + shift), Math.max(all[level][1], low + shift)];
      } else {
        all.push([high + shift, low + shift]);
      }
    });
  }
  return all;
}

// The left side of each level's column; the last entry is the right side of all.
function columnLefts(items, sizes, space) {
  const widths = [];
  for (const { id, level } of items) {
    widths[level] = Math.max(widths[level] || 0, sizes.get(id).width);
  }
  const lefts = [0, 0];
  for (let level = 1; level < widths.length; level++) {
    lefts.push(lefts[level] + widths[level] + space);
  }
  return lefts;
}

// The way of an edge, from the right side of the parent to the left side of the child.
function autocogEdgePath(parent, child, space) {
  const x1 = parent.left + parent.width;
  const bend = child.left - space;
  const middle = child.left - space / 2;
  return `M${x1} ${parent.middle}H${bend}` +
    `C${middle} ${parent.middle} ${middle} ${child.middle} ${child.left} ${child.middle}`;
}

// The width of an edge: the share of the probability that flows through it.
function autocogEdgeWidth(flow) {
  return Math.max(1.25, 16 * flow);
}
