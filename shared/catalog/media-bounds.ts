/** What bounds the folder of a service instance, besides what the operator allows. Asked anew at each run: both may change. */
export interface MediaBounds {
  /** Folders of the organisation whose admin has registered it; null: no further bound. */
  roots: string[] | null
  /** Addresses of stores that are folders: never read from as media, nor restored into. */
  stores: string[]
}

/** Of the service instance `si` of the organisation `o`. */
export const MEDIA_BOUNDS = `
  jsonb_build_object('roots', CASE WHEN si.egress = 'organisation' THEN o.media_roots END,
                     'stores', (SELECT coalesce(jsonb_agg(url), '[]') FROM stores WHERE url LIKE 'file:%'))`
