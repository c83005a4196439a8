import { useChannel, useCount, useHerenow, useMembers } from 'herenow/react';

export function Livestream({ stream }) {
  const room = useChannel(useHerenow(), stream, { join: true, level: 'count', recent: 5 });
  return (
    <p>
      <b>{useCount(room)} watching</b>
      {useMembers(room).map(({ user, info = {} }) => (
        <img key={user} src={info.avatar ?? '/guest.png'} alt={info.name ?? user} />
      ))}
    </p>
  );
}
