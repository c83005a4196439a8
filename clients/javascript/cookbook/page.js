/** Who reads the same page. Call it again after each navigation: it leaves the page before. */
let leave = () => {};

export async function onThisPage(here, list) {
  leave();
  const room = here.channel(`page:${location.pathname}`.slice(0, 200));
  const end = room.on('change', () => {
    list.replaceChildren(...room.members.map(({ user }) => (
      Object.assign(document.createElement('li'), { textContent: user === here.me ? 'you' : user })
    )));
  });
  leave = () => {
    end();
    room.leave().catch(console.error);
    room.unsubscribe().catch(console.error);
  };
  await Promise.all([room.join(), room.subscribe()]);
}
