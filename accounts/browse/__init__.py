"""The API in a browser, for staff: `/browse/` has the routes of the API as pages with forms.

A cookie is read here and nowhere else. It opens a session in the table, whose access token then
stands in the request as if the browser had sent it (`guard`); from there on the very views of the
API answer, dressed and drawn by `pages`, with the `forms` of what they take.
"""
