/** How many watch a livestream, and the avatars of those who came last. */
export async function livestream(here, stream, { badge, avatars }) {
  const room = here.channel(stream);
  room.on('change', () => {
    badge.textContent = `${room.count} watching`;
    avatars.replaceChildren(...room.members.map(({ user, info = {} }) => (
      Object.assign(document.createElement('img'), { src: info.avatar ?? '/guest.png', alt: info.name ?? user })
    )));
  });
  await Promise.all([room.join(), room.subscribe({ level: 'count', recent: 5 })]);
}
