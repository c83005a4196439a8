/** The page: joins with a token of the page server, and shows who else has. */

/** Who the page server says that we are, with a fresh token. */
async function session() {
  const response = await fetch('/session', { method: 'POST' });
  if (!response.ok) throw new Error((await response.json()).error);
  return response.json();
}

const { broker, channel, user } = await session();
document.querySelector('#me').textContent = user;

// The broker serves the client library; with a bundler it is the package `herenow`.
const { connect } = await import(`${broker}/client/herenow.js`);
const here = connect(`${broker}/ws`, { token: async () => (await session()).token });
here.on('error', (error) => {
  document.querySelector('#problem').textContent = error.message;
});

const room = here.channel(channel);
room.on('change', () => {
  document.querySelector('#who').replaceChildren(...room.members.map(({ info }) => (
    Object.assign(document.createElement('li'), { textContent: info.name })
  )));
});
await room.join();
await room.subscribe();
