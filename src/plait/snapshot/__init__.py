"""From typed resources to the mesh as a whole (`build`), and from there to the view of one proxy (`project`).

Rule: pure and incremental. Objects are translated once (`declared`), kept in indexed tables, and linked again only
where something they depend on changed; unchanged parts stay the same objects. A user's mistake becomes a condition.
"""
