/** A line for each friend, kept up to date. Returns what ends it. */
export function friends(here, ids, list) {
  const ends = ids.map((id) => {
    const line = list.appendChild(document.createElement('li'));
    line.textContent = `${id}: …`;
    return here.user(id).watch((status) => {
      line.textContent = `${id}: ${words(status)}`;
    });
  });
  return () => ends.forEach((end) => end());
}

export function words({ online, away, busy, text, lastSeen }) {
  if (!online) return lastSeen ? `last seen ${new Date(lastSeen).toLocaleString()}` : 'offline';
  return [busy ? 'busy' : away ? 'away' : 'online', text].filter(Boolean).join(', ');
}
