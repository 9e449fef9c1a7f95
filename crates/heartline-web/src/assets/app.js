// Keeps a page up to date. It sets text and attributes, and never markup: whatever a name holds, it stays text.
'use strict';
(() => {
  const KEY = 'heartline-theme';
  const root = document.documentElement;
  const store = {
    get() { try { return localStorage.getItem(KEY); } catch { return null; } },
    set(value) { try { localStorage.setItem(KEY, value); } catch { /* not kept, then */ } },
  };
  const chosen = store.get();
  if (chosen === 'dark' || chosen === 'light') root.dataset.theme = chosen;

  const byId = (id) => document.getElementById(id);
  const setText = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches);
  const RANK = { down: 0, unknown: 1, degraded: 2, suspect: 3, paused: 5, up: 6 };
  const EVENTS = 40;

  let rows = new Map();      // name → row
  let places = [];           // place in the plan → row
  let shownState = '';
  let plan = '';
  const waiting = new Map(); // name → what it is since
  const told = [];
  let frame = 0;
  let refreshing = false;
  let refreshAgain = false;
  let failed = 0;            // how often in a row the page could not be read anew
  let again = 0;             // the timer of the next try
  let isHeard = false;       // the stream is there
  let lastSeq = 0;           // the last event that the stream has brought
  let streamOf = '';         // whose numbers these are: when the process at its other end began; empty while it has none

  // ── What the page shows ──────────────────────────────────────────────────────────────────────────────────────────

  function learn() {
    rows = new Map();
    places = [];
    for (const row of document.querySelectorAll('#nodes .n')) {
      rows.set(row.dataset.n, row);
      places[Number(row.dataset.i)] = row;
    }
    plan = document.body.dataset.plan;
  }

  function ago(seconds) {
    if (seconds < 60) return `${Math.max(0, seconds)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} d`;
  }

  function clock(moment) {
    const time = new Date(moment);
    const today = new Date().toDateString() === time.toDateString();
    return today
      ? time.toLocaleTimeString(undefined, { hour12: false })
      : time.toLocaleString(undefined, { hour12: false, month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });
  }

  function tellTimes() {
    const now = Math.floor(Date.now() / 1000);
    for (const time of document.querySelectorAll('time')) {
      if (!time.title) time.title = new Date(time.dateTime).toLocaleString();
      if (time.classList.contains('ago')) setText(time, ago(now - Math.floor(Date.parse(time.dateTime) / 1000)));
      else if (!time.dataset.here) { time.dataset.here = '1'; setText(time, clock(time.dateTime)); }
    }
  }

  const stateOf = (row) => row.classList[1];

  function rank(row) {
    const why = row.querySelector('.w').textContent;
    return stateOf(row) === 'unknown' && why.startsWith('not heard from yet') ? 4 : RANK[stateOf(row)];
  }

  function sort() {
    const table = byId('nodes');
    const focused = document.activeElement;
    const sorted = [...rows.values()].sort((one, other) => rank(one) - rank(other) || one.dataset.i - other.dataset.i);
    let at = table.firstElementChild.nextElementSibling;
    for (const row of sorted) {
      if (row === at) at = at.nextElementSibling;
      else table.insertBefore(row, at);
    }
    if (focused && focused !== document.activeElement && table.contains(focused)) focused.focus({ preventScroll: true });
  }

  function count() {
    const counts = { '': rows.size };
    for (const row of rows.values()) counts[stateOf(row)] = (counts[stateOf(row)] || 0) + 1;
    for (const chip of document.querySelectorAll('.chip')) {
      const number = counts[chip.dataset.s] || 0;
      setText(chip.querySelector('b'), String(number));
      chip.classList.toggle('zero', number === 0);
    }
    const bad = ['down', 'unknown', 'degraded', 'suspect'].filter((state) => counts[state]);
    const worst = bad[0] || 'up';
    const headline = bad.map((state) => `${counts[state]} ${state}`).join(', ') || `All ${rows.size} up`;
    const heading = byId('headline');
    setText(heading, headline);
    heading.className = worst;
    document.title = `${headline} · heartline`;
    const icon = `/icon.svg?${worst}`;
    if (byId('icon').getAttribute('href') !== icon) byId('icon').setAttribute('href', icon);
  }

  function filter() {
    const asked = byId('q').value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows.values()) {
      const is = (!shownState || stateOf(row) === shownState)
        && (!asked || row.dataset.n.toLowerCase().includes(asked)
          || `${stateOf(row)} ${row.querySelector('.name').textContent}`.toLowerCase().includes(asked));
      if (row.hidden === is) row.hidden = !is;
      if (is) shown += 1;
    }
    byId('none').hidden = shown > 0;
    for (const chip of document.querySelectorAll('.chip')) {
      if (chip.dataset.s === shownState) chip.setAttribute('aria-current', 'true');
      else chip.removeAttribute('aria-current');
    }
    return shown;
  }

  function remember() {
    const query = new URLSearchParams();
    if (byId('q').value) query.set('q', byId('q').value);
    if (shownState) query.set('state', shownState);
    const text = query.toString();
    history.replaceState(null, '', text ? `/?${text}` : '/');
  }

  // ── What happens ─────────────────────────────────────────────────────────────────────────────────────────────────

  const say = (text) => setText(byId('said'), text);

  function later() {
    if (!frame) frame = document.hidden ? setTimeout(apply, 200) : requestAnimationFrame(apply);
  }

  function apply() {
    frame = 0;
    let moved = false;
    const changes = [];
    for (const [name, face] of waiting) {
      const row = rows.get(name);
      if (!row) { refresh(); continue; }
      if (stateOf(row) !== face.s) {
        row.className = `n ${face.s}`;
        setText(row.querySelector('.s'), face.s);
        moved = true;
        changes.push(`${row.querySelector('a').textContent} ${face.s}`);
        row.classList.add('new');
      }
      setText(row.querySelector('.w'), face.w);
      setText(row.querySelector('.l'), face.l);
      const since = row.querySelector('.t time');
      since.dateTime = new Date(face.t * 1000).toISOString();
      since.title = '';
    }
    waiting.clear();
    if (moved) { sort(); count(); filter(); }
    if (changes.length) say(changes.length > 4 ? `${changes.length} nodes changed` : changes.join('; '));
    list(told.splice(0));
    tellTimes();
  }

  function list(lines) {
    const events = byId('events');
    for (const { t, ev } of lines.slice(-EVENTS)) {
      const item = document.createElement('li');
      const time = document.createElement('time');
      time.dateTime = t;
      const state = document.createElement('span');
      state.className = `s ${ev.to in RANK ? ev.to : 'other'}`;
      state.textContent = ev.to;
      const what = document.createElement('b');
      what.textContent = ev.what;
      item.append(time, ' ', state, ' ', what);
      if (ev.why) {
        const why = document.createElement('span');
        why.className = 'w';
        why.textContent = ev.why;
        item.append(' ', why);
      }
      item.classList.add('new');
      events.prepend(item);
    }
    while (events.children.length > EVENTS) events.lastElementChild.remove();
  }

  // The path of a sparkline, as chart.rs writes it: read, moved on by one, written.
  function next(path, level, width = 30, top = 9) {
    const levels = new Array(width).fill(null);
    let x = 0;
    let y = null;
    for (const [, letter, first, second] of path.matchAll(/([MVh])(\d+)(?: (\d+))?/g)) {
      if (letter === 'M') { x = Number(first); y = Number(second); }
      else if (letter === 'V') y = Number(first);
      else { levels[x] = y; x += 1; }
    }
    levels.shift();
    levels.push(level === '-' ? null : top - Number(level));
    let text = '';
    let before = null;
    levels.forEach((height, place) => {
      if (height !== null) text += before === null ? `M${place} ${height}h1` : before === height ? 'h1' : `V${height}h1`;
      before = height;
    });
    return text;
  }

  function trips({ plan: theirs, ms, lv }) {
    if (String(theirs) !== plan) { refresh(); return; }
    places.forEach((row, place) => {
      setText(row.querySelector('.r b'), ms[place] ?? '–');
      const path = row.querySelector('.sp path');
      path.setAttribute('d', next(path.getAttribute('d'), lv[place]));
    });
    tellTimes();
  }

  // Live is what hears of every change, and has been able to show it.
  function tellLive() {
    const live = byId('live');
    if (isHeard && failed === 0) {
      live.className = 'live on';
      setText(live, 'live');
    } else {
      live.className = 'live off';
      if (!live.textContent.startsWith('not live')) setText(live, `not live since ${new Date().toLocaleTimeString(undefined, { hour12: false })}`);
    }
  }

  // Reads the page anew and puts in what it holds: a document that is only parsed runs nothing. What fails is tried again, less and less often.
  async function refresh() {
    if (refreshing) { refreshAgain = true; return; }
    refreshing = true;
    let isRead = false;
    try {
      const answer = await fetch(location.href, { headers: { accept: 'text/html' }, cache: 'no-store', signal: AbortSignal.timeout(10000) });
      if (answer.redirected && new URL(answer.url).pathname === '/login') { location.href = answer.url; return; }
      // That a node is not watched any more is news, too.
      if (answer.ok || answer.status === 404) isRead = put(new DOMParser().parseFromString(await answer.text(), 'text/html'));
    } catch { /* tried again */ }
    failed = isRead ? 0 : failed + 1;
    tellLive();
    again = setTimeout(goOn, isRead ? 1000 : Math.min(30000, 1000 * 2 ** Math.min(failed - 1, 5)) * (0.75 + Math.random() / 2));
  }

  function goOn() {
    const isWanted = refreshAgain || failed > 0;
    again = 0;
    refreshing = false;
    refreshAgain = false;
    if (isWanted) refresh();
  }

  // The watcher is there again: what waits for its next try need not wait.
  function hasten() {
    if (failed === 0 || !again) return;
    clearTimeout(again);
    goOn();
  }

  // Nothing is pulled away from under a hand.
  const isBusy = () => byId('main').contains(document.activeElement) || getSelection().type === 'Range';

  const soon = (page) => { if (page.body.hasAttribute('data-early')) setTimeout(refresh, 2000); };

  // False, if that is no page of ours.
  function put(page) {
    if (!page.getElementById('main') || !('seq' in page.body.dataset)) return false;
    if (document.body.dataset.page === 'list' && !page.getElementById('nodes')) return false;
    // What was told while it was being read is newer than it. Numbers of another process say nothing of these.
    const isOther = streamOf && page.body.dataset.begun !== streamOf;
    if (isOther || (streamOf && Number(page.body.dataset.seq) < lastSeq)) { refreshAgain = true; return true; }
    const focused = document.activeElement?.closest?.('.n')?.dataset.n;
    const { plan: theirs, begun, seq } = page.body.dataset;
    Object.assign(document.body.dataset, { plan: theirs, begun, seq });
    soon(page);
    byId('banner').hidden = page.getElementById('banner').hidden;
    document.title = page.title;
    if (document.body.dataset.page === 'list') {
      // What is typed and filtered stays.
      for (const id of ['nodes', 'events', 'headline']) byId(id).replaceWith(document.adoptNode(page.getElementById(id)));
      learn();
      count();
      filter();
      if (focused !== undefined) rows.get(focused)?.querySelector('a').focus({ preventScroll: true });
    } else if (!isBusy()) {
      byId('main').replaceWith(document.adoptNode(page.getElementById('main')));
      byId('icon').setAttribute('href', page.getElementById('icon').getAttribute('href'));
    }
    tellTimes();
    return true;
  }

  function listen() {
    const kind = document.body.dataset.page;
    const source = new EventSource(`/live?after=${document.body.dataset.begun}-${document.body.dataset.seq}`);
    source.addEventListener('hello', (event) => {
      isHeard = true;
      tellLive();
      hasten();
      const { begun, seq, plan: theirs } = JSON.parse(event.data);
      if (begun !== streamOf) lastSeq = 0;
      streamOf = begun;
      if (begun !== document.body.dataset.begun) { lastSeq = seq; refresh(); }
      else if (String(theirs) !== document.body.dataset.plan) refresh();
    });
    source.addEventListener('told', (event) => {
      const { t, iso, row, ev, node } = JSON.parse(event.data);
      lastSeq = Number(event.lastEventId.split('-').pop());
      byId('banner').hidden = !iso;
      if (kind === 'list') {
        if (row) waiting.set(row.n, row);
        if (ev) told.push({ t, ev });
        if (told.length > EVENTS) told.shift();
        later();
      } else if (node === document.querySelector('.title')?.dataset.n) {
        if (ev) say(`${ev.what} ${ev.to}`);
        refresh();
      }
    });
    source.addEventListener('trips', (event) => {
      if (kind === 'list') trips(JSON.parse(event.data));
      else if (kind === 'node') refresh();
    });
    source.addEventListener('resync', refresh);
    source.onerror = () => {
      streamOf = '';
      isHeard = false;
      tellLive();
      // Refused for good: no more room, or nobody is logged in any more.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => { refresh(); listen(); }, 5000);
    };
  }

  // ── What a hand does ─────────────────────────────────────────────────────────────────────────────────────────────

  function step(by) {
    const links = [...document.querySelectorAll('#nodes .n:not([hidden]) a')];
    const at = links.indexOf(document.activeElement);
    const to = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + by));
    links[to]?.focus();
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const q = byId('q');
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === '/' && !typing && q) q.focus();
    else if (event.key === 'Escape' && typing && q) { q.value = ''; filter(); remember(); q.blur(); }
    else if (event.key === 'Escape' && document.body.dataset.page === 'node') location.href = '/';
    else if ((event.key === 'ArrowDown' && (!typing || event.target === q)) || (event.key === 'j' && !typing)) { if (q) step(1); else return; }
    else if ((event.key === 'ArrowUp' && !typing) || (event.key === 'k' && !typing)) { if (q) step(-1); else return; }
    else return;
    event.preventDefault();
  }

  function theme() {
    const button = byId('theme');
    const tell = () => { setText(button, isDark() ? 'Light' : 'Dark'); button.setAttribute('aria-label', isDark() ? 'Use light colours' : 'Use dark colours'); };
    button.hidden = false;
    button.addEventListener('click', () => {
      root.dataset.theme = isDark() ? 'light' : 'dark';
      store.set(root.dataset.theme);
      tell();
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', tell);
    tell();
  }

  function choose() {
    shownState = new URLSearchParams(location.search).get('state') || '';
    let soon = 0;
    byId('q').addEventListener('input', () => {
      clearTimeout(soon);
      soon = setTimeout(() => { const shown = filter(); remember(); say(`${shown} nodes shown`); }, 80);
    });
    byId('filter').addEventListener('submit', (event) => { event.preventDefault(); filter(); remember(); step(1); });
    for (const chip of document.querySelectorAll('.chip')) {
      chip.addEventListener('click', (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        shownState = chip.dataset.s;
        say(`${filter()} nodes shown`);
        remember();
      });
    }
  }

  document.addEventListener('DOMContentLoaded', () => {
    theme();
    tellTimes();
    setInterval(tellTimes, 10000);
    document.addEventListener('keydown', keys);
    if (document.body.dataset.page === 'list') {
      choose();
      learn();
      filter();
    }
    if (document.body.hasAttribute('data-live')) {
      listen();
      soon(document);
      // What changes with the day.
      setInterval(() => { if (!document.hidden) refresh(); }, 15 * 60 * 1000);
    }
  });
})();
