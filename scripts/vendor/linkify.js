// Finding bare addresses in text is switched off: the server does not do it either.

export default function LinkifyIt() {}
