import { useChannel, useCount, useHerenow, useMembers } from 'herenow/react';

export function Livestream({ stream }) {
  const room = useChannel(useHerenow(), stream, { join: true });
  const newest = useMembers(room, (members) => members.slice(0, 5));
  return (
    <p>
      <b>{useCount(room)} watching</b>
      {newest.map(({ user, info = {} }) => (
        <img key={user} src={info.avatar ?? '/guest.png'} alt={info.name ?? user} />
      ))}
    </p>
  );
}
