/** Encodings that `TextDecoder` knows by another name; PostgreSQL's LATIN2 is ISO 8859-2, but its LATIN5 is ISO 8859-9. */
const LABELS: Record<string, string> = {
  UTF8: 'utf-8',
  SQL_ASCII: 'utf-8',
  LATIN2: 'iso-8859-2',
  LATIN3: 'iso-8859-3',
  LATIN4: 'iso-8859-4',
  LATIN5: 'windows-1254',
  LATIN6: 'iso-8859-10',
  LATIN7: 'iso-8859-13',
  LATIN8: 'iso-8859-14',
  LATIN9: 'iso-8859-15',
  LATIN10: 'iso-8859-16',
  ISO_8859_5: 'iso-8859-5',
  ISO_8859_6: 'iso-8859-6',
  ISO_8859_7: 'iso-8859-7',
  ISO_8859_8: 'iso-8859-8',
  KOI8R: 'koi8-r',
  KOI8U: 'koi8-u',
  EUC_JP: 'euc-jp',
  EUC_KR: 'euc-kr',
  EUC_CN: 'gbk',
  WIN866: 'ibm866',
}

/** How names in an archive of this encoding read; those of an encoding that Node does not know are shown byte by byte. */
export function textDecoder(encoding: string): (bytes: Buffer) => string {
  const label = LABELS[encoding] ?? encoding.replace(/^WIN(\d+)$/, 'windows-$1')
  try {
    const decoder = new TextDecoder(label, { ignoreBOM: true })
    return (bytes) => decoder.decode(bytes)
  } catch {
    return (bytes) => bytes.toString('latin1')
  }
}
