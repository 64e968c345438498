# Camera poses for folders of photos; the scene that comes out is a subject like any other.
