/** Says that we type while we do, and shows who else does. */
export async function typing(here, chat, { input, line }) {
  const room = here.channel(chat);
  room.on('change', () => {
    const who = room.members.filter(({ user, attributes }) => attributes.typing && user !== here.me);
    line.textContent = who.length ? `${who.map(({ user }) => user).join(', ')} typing …` : '';
  });
  let saidAt = -Infinity;
  input.addEventListener('input', () => {
    if (performance.now() - saidAt < 2_000) return;
    saidAt = performance.now();
    // It vanishes by itself: it cannot stick, whatever becomes of this page.
    room.setAttributes({ typing: true }, { ttl: 3_000 }).catch(console.error);
  });
  await Promise.all([room.join(), room.subscribe()]);
  /** To be called when a message is sent. */
  return () => {
    saidAt = -Infinity;
    return room.setAttributes({ typing: null });
  };
}
