import { useRef } from 'react';
import { useChannel, useHerenow, useOthers } from 'herenow/react';

export function Chat({ name, send }) {
  const room = useChannel(useHerenow(), name, { join: true });
  const who = useOthers(room, (others) => (
    others.filter(({ attributes }) => attributes.typing).map(({ user }) => user)
  ));
  const saidAt = useRef(-Infinity);
  const type = () => {
    if (performance.now() - saidAt.current < 2_000) return;
    saidAt.current = performance.now();
    room?.setAttributes({ typing: true }, { ttl: 3_000 }).catch(console.error);
  };
  const submit = (event) => {
    event.preventDefault();
    send(new FormData(event.target).get('text'));
    saidAt.current = -Infinity;
    room?.setAttributes({ typing: null }).catch(console.error);
  };
  return (
    <form onSubmit={submit}>
      <input name="text" onInput={type} />
      <p>{who.length > 0 && `${who.join(', ')} typing …`}</p>
    </form>
  );
}
